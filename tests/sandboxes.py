"""Sandboxes as a person starts them: through the command line, in a folder of their own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from runtime.settings import inherited_environment
from runtime.stack import Stack
from tests.until import until

START_SECONDS = 60.0
SMALL = 20
"""Patients."""


def is_alive(pid: int) -> bool:
    """Alive and no zombie: who is orphaned here may wait for a pid 1 that never collects."""
    with suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return state.rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


class Banyan:
    """The command line over one run folder."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.started: list[subprocess.Popen[bytes]] = []

    def __call__(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            self._argv(*arguments),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            env={**inherited_environment(), **environment},
        )

    def json(self, *arguments: str) -> dict[str, Any]:
        answer = self(*arguments, "--json")
        assert answer.returncode == 0, answer.stderr
        found: dict[str, Any] = json.loads(answer.stdout)
        return found

    def foreground(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """`banyan up` as it stays in a terminal, once it is ready."""
        process = subprocess.Popen(
            self._argv("up", *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.started.append(process)
        until(self.is_ready, within=START_SECONDS)
        return process

    def stack(self) -> Stack:
        return Stack.read(self.run / "stack.json")

    def is_ready(self) -> bool:
        with suppress(FileNotFoundError):
            return self.stack().ready
        return False

    def events(self) -> list[dict[str, Any]]:
        """What the sandbox has logged."""
        text = (self.run / "sandbox.log").read_text(encoding="utf-8")
        # The last line may be in the middle of being written.
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def _argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cli.main", *arguments, "--run", str(self.run)]


@pytest.fixture
def banyan(tmp_path: Path) -> Iterator[Banyan]:
    """Commands over a folder of this test's own; whatever runs there is stopped behind the test."""
    command = Banyan(tmp_path / "run")
    yield command
    command("down")
    for process in command.started:
        process.terminate()
        process.wait(timeout=START_SECONDS)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Banyan]:
    """A sandbox for all tests of a module that leave it as it is: engines and data alone, detached."""
    command = Banyan(tmp_path_factory.mktemp("sandbox") / "run")
    up = command("up", "--detach", "--scale", str(SMALL), "--only", "")
    try:
        assert up.returncode == 0, up.stderr
        yield command
    finally:
        command("down")
