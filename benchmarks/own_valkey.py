"""A Valkey of one's own, to be killed and started again: same port, same data."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.children import Child, start
from sandbox.engines.valkey import READY_SECONDS, Server, new_server


class OwnValkey:
    """Blocking; kill -9 and a start take about a tenth of a second together."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._child: Child | None = None

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> None:
        """Start it over the data that is there, and wait until it answers."""
        self._child = start(self._server.command())
        self._child.wait(self._server.is_ready, within=READY_SECONDS)

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self._child is not None:
            self._child.kill()
            self._child.process.wait()
            self._child = None


@contextmanager
def own_valkey(folder: Path) -> Iterator[OwnValkey]:
    """Started; killed at the end."""
    valkey = OwnValkey(new_server(folder))
    valkey.start()
    try:
        yield valkey
    finally:
        valkey.kill()
