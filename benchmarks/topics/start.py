"""A newcomer's first minutes: `make up` in a clean clone, installation included."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from benchmarks.claim import Claim
from benchmarks.size import Size
from benchmarks.world import ROOT, WorldFailed
from runtime.stack import Stack

TOPIC = "start"
_LONGEST_SECONDS = 180.0
_WHO = ("patient", "clinician", "partner")


async def run(size: Size) -> AsyncIterator[Claim]:
    """Needs git, make, and a package index; the same at both sizes."""
    with tempfile.TemporaryDirectory(prefix="banyan-start-") as name:
        took, answered = _make_up(Path(name) / "clone")
    yield Claim(
        topic=TOPIC,
        claim="from a clean clone, `make up` answers",
        value=round(took, 1),
        unit="s",
        target=f"within {_LONGEST_SECONDS:.0f} s, installation included",
        ok=took <= _LONGEST_SECONDS and answered == len(_WHO),
        n=1,
        how=f"git clone, make up in a new .venv, until GET /v2/lab-orders answered 200 to {answered} of {len(_WHO)} sample users",
    )


def _make_up(clone: Path) -> tuple[float, int]:
    """Seconds until the sample users were answered, and how many of them were."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    began = time.monotonic()
    log = clone.parent / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", "up"],
            cwd=clone,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        stack = _ready(clone, process, began)
        codes = [_ask(stack, who) for who in _WHO]
        return time.monotonic() - began, codes.count(200)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


def _ready(clone: Path, process: "subprocess.Popen[bytes]", began: float) -> Stack:
    while time.monotonic() - began < 2 * _LONGEST_SECONDS and process.poll() is None:
        try:
            stack = Stack.read(clone / ".run" / "stack.json")
        except FileNotFoundError:
            stack = None
        if stack is not None and stack.ready:
            return stack
        time.sleep(0.1)
    raise WorldFailed((clone.parent / "up.log").read_text(errors="replace")[-2000:])


def _ask(stack: Stack, who: str) -> int:
    headers = {"authorization": f"Bearer {stack.tokens[who]}"}
    url = f"{stack.urls['gateway']}/v2/lab-orders?limit=1"
    return httpx.get(url, headers=headers, trust_env=False).status_code
