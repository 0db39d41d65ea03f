"""The load: wrk with one thread, as fast as it is answered or at a pace, each request another user's."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cost.processor import pinned

_SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, kw_only=True)
class Load:
    """What wrk says of one run."""

    requests: int
    seconds: float
    p50_us: int
    not_2xx: int
    broken: int


def press(
    port: int,
    target: str,
    *,
    tokens: Path,
    connections: int,
    seconds: int,
    core: int,
    rest_ms: int = 0,
) -> Load:
    """Blocks for that long. `tokens`: a file with a user token per line. wrk knows whole seconds only. `rest_ms`: each
    connection rests so long between an answer and its next request, so that all variants get about as many.

    Nobody listening is a load without requests.
    """
    wrk = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    wrk += [
        "--script",
        str(_SCRIPT),
        f"http://127.0.0.1:{port}",
        "--",
        target,
        str(tokens),
        str(rest_ms),
    ]
    done = subprocess.run(pinned(core, *wrk), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return Load(requests=0, seconds=seconds, p50_us=0, not_2xx=0, broken=connections)
    return Load(**json.loads(done.stderr))


def load_missing() -> str:
    """Why there can be no load here, or nothing."""
    return "" if shutil.which("wrk") else "wrk is not installed"
