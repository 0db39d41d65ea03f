"""The stand-in as a process over a seeded legacy database, with the sample users' passwords."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from runtime.settings import inherited_environment
from sandbox import ports
from sandbox.children import Command, start
from sandbox.legacy.load import Legacy
from sandbox.seed.people import BY_NAME, PEOPLE
from sandbox.supabase import passwords
from sandbox.supabase.keys import SAMPLE_SECONDS, Keyring, User

READY_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Standin:
    """A running stand-in, its keys, and its database."""

    url: str
    keys: Keyring
    state: Path
    legacy: Legacy

    def token(self, name: str) -> str:
        """A sample user's access token, as the sandbox mints it."""
        person = BY_NAME[name]
        user = User(id=str(person.id), email=person.email, app_metadata=person.app_metadata)
        return self.keys.mint(user, seconds=SAMPLE_SECONDS)

    def client(self, name: str | None = None, **headers: str) -> httpx.AsyncClient:
        """A client of this user; None is signed out."""
        sent = {"apikey": self.keys.publishable, **headers}
        if name is not None:
            sent["Authorization"] = f"Bearer {self.token(name)}"
        return httpx.AsyncClient(base_url=self.url, headers=sent, timeout=20)

    def service(self) -> httpx.AsyncClient:
        """A client with the secret key."""
        return httpx.AsyncClient(
            base_url=self.url, headers={"apikey": self.keys.secret}, timeout=20
        )


@contextmanager
def running(legacy: Legacy, folder: Path, **environment: str) -> Iterator[Standin]:
    """A stand-in over `legacy`; `environment` adds settings of its own."""
    port = ports.free()
    state = folder / "state"
    passwords.write(state, {person.email: person.password for person in PEOPLE})
    (state / "storage" / "action-plans").mkdir(parents=True)
    url = f"http://{ports.LOOPBACK}:{port}"
    child = start(
        Command(
            name="standin",
            argv=(sys.executable, "-m", "sandbox.supabase", "--port", str(port)),
            log=folder / "standin.log",
            environment={
                **inherited_environment(),
                "LEGACY_STANDIN_DSN": legacy.authenticator,
                "LEGACY_STANDIN_STATE": str(state),
                **environment,
            },
            folder=Path(__file__).resolve().parents[1],
        )
    )
    try:
        child.wait(lambda: _is_ready(url), within=READY_SECONDS)
        yield Standin(url=url, keys=Keyring.open(state, url), state=state, legacy=legacy)
    finally:
        child.stop()


@pytest.fixture(scope="module")
def standin(shared_legacy: Legacy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    """One for the whole module; its database is the module's, too."""
    with running(
        shared_legacy, tmp_path_factory.mktemp("standin"), LEGACY_STANDIN_FAULTS="true"
    ) as started:
        yield started


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
