"""The Node packages of the tests: pinned in tests/node/package-lock.json, installed on first use."""

import fcntl
import functools
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent / "node"
CACHE = FOLDER.parent.parent / ".cache"
INSTALL_SECONDS = 300


class NpmUnavailable(Exception):
    """The Node packages cannot be had here; the message is one sentence for the table of tiers."""


@functools.cache
def install() -> Path:
    """The folder whose node_modules fits package-lock.json; runs `npm ci` when it does not.

    Raises NpmUnavailable. The cache stays in the checkout, so that a user without a home can run this, too.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        raise NpmUnavailable("node and npm are not on the PATH")
    lock = FOLDER / "package-lock.json"
    if not lock.is_file():
        raise NpmUnavailable("tests/node/package-lock.json is missing")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # two runs in one checkout: `npm ci` starts by deleting
        if not _is_current(lock):
            _npm_ci()
    return FOLDER


def _is_current(lock: Path) -> bool:
    # npm writes this file last: an interrupted installation does not have it.
    done = FOLDER / "node_modules" / ".package-lock.json"
    return done.is_file() and done.stat().st_mtime >= lock.stat().st_mtime


def _npm_ci() -> None:
    # no scripts: a package that downloads something of its own at installation would need another host
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    command += ["--loglevel=error", "--cache", str(CACHE / "npm")]
    try:
        done = subprocess.run(
            command,
            cwd=FOLDER,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NpmUnavailable(f"npm ci did not end within {INSTALL_SECONDS} s") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("npm err")]
        reason = lines[0] if lines else f"exit {done.returncode}"
        raise NpmUnavailable(f"npm ci in tests/node failed ({reason})")
