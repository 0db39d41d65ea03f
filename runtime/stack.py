"""The running sandbox, as `banyan up` writes it to `.run/stack.json` and every other command reads it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

STACK_FILE = Path(".run/stack.json")


class Process(BaseModel):
    """One child of the sandbox. `url` is empty for processes that answer no HTTP."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    url: str = ""
    log: str = ""
    restarts: int = 0


class SampleUser(BaseModel):
    """Somebody to sign in as; synthetic, so the password is no secret."""

    model_config = ConfigDict(frozen=True)

    name: str
    email: str
    password: str
    role: str
    """Application role; for operators their operator role."""


class Stack(BaseModel):
    """Everything one needs to talk to the sandbox. The file holds tokens and is readable by its owner only."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started_at: str
    ready: bool = False
    urls: dict[str, str] = {}
    """gateway, control, legacy, frontend, and one per service."""
    databases: dict[str, str] = {}
    """DSNs: legacy (owner), legacy_worker, services (owner), services_apply, control."""
    redis: str = ""
    tokens: dict[str, str] = {}
    """Access tokens of the sample users by name: patient, clinician, partner, compliance, finance, admin, ..."""
    operators: dict[str, str] = {}
    """Tokens for the control API by operator role: viewer, operator, approver, compliance."""
    users: list[SampleUser] = []
    environment: dict[str, str] = {}
    """What the product's processes were started with: a second process started with it joins the stack."""
    processes: list[Process] = []

    @classmethod
    def read(cls, path: Path = STACK_FILE) -> "Stack":
        """Raises FileNotFoundError when no sandbox was started here."""
        return cls.model_validate_json(path.read_bytes())

    def write(self, path: Path = STACK_FILE) -> None:
        """Replaces the file in one step, so that a reader never sees half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(self.model_dump_json(indent=2), encoding="utf-8")
        part.replace(path)
