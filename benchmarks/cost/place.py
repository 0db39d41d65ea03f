"""Where one variant runs: its folder, its port, the upstream's ports, the users' flags."""

import json
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cost.crowd import Crowd
from benchmarks.cost.processor import Cores
from catalog.stage import Side
from runtime.settings import inherited_environment

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "cost"
"""What the benchmark installs for itself."""

Tell = Callable[[str], None]
"""Takes a line for the person who waits."""


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """Ports of the one nginx that plays both sides, and its record of the requests that a check sends."""

    service: int
    legacy: int
    record: Path

    def port(self, side: Side) -> int:
        return self.service if side is Side.SERVICE else self.legacy

    def url(self, side: Side) -> str:
        return f"http://127.0.0.1:{self.port(side)}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a variant gets to know before it is started."""

    folder: Path
    port: int
    cores: Cores
    upstream: Upstream
    crowd: Crowd

    @property
    def access_log(self) -> Path:
        """Where its access lines go."""
        return self.folder / "access.log"

    @property
    def environment(self) -> Mapping[str, str]:
        return inherited_environment()

    def write(self, name: str, content: str) -> Path:
        """A file of its configuration."""
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return path

    def write_stages(self) -> Path:
        """The stage of each user, a JSON object."""
        return self.write("stages.json", json.dumps(self.crowd.stages))


def program(name: str) -> str:
    """Its path, or nothing. Debian puts servers where an ordinary user's PATH does not look."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
