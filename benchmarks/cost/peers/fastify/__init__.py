"""Fastify from npm with @fastify/reply-from and @fastify/jwt; server.mjs beside this file is the gateway."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmarks.cost.crowd import SECRET
from benchmarks.cost.place import Place
from benchmarks.cost.processor import pinned
from benchmarks.cost.variant import Variant, Work
from catalog.stage import Side
from sandbox.children import Command

FOLDER = Path(__file__).parent
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"


def _missing() -> str:
    if not shutil.which("node"):
        return "node is not installed"
    return "" if INSTALLED.exists() else "npm ci was not run in benchmarks/cost/peers/fastify"


def _command(place: Place, *, full: bool, cached: bool = False) -> Command:
    config = {
        "host": "127.0.0.1",
        "port": place.port,
        "full": full,
        "cached": cached,
        "secret": SECRET,
        "stages": str(place.write_stages()),
        "service": place.upstream.url(Side.SERVICE),
        "legacy": place.upstream.url(Side.LEGACY),
        "log": str(place.access_log),
    }
    path = str(place.write("config.json", json.dumps(config)))
    return Command(
        name="fastify",
        argv=pinned(place.cores.gateway, "node", str(FOLDER / "server.mjs"), path),
        log=place.folder / "fastify.log",
        environment={**place.environment, "NODE_ENV": "production"},
    )


_UNEQUAL = "any X-Correlation-ID is accepted as it is"

VARIANTS = (
    Variant(
        name="fastify, verified tokens cached",
        work=Work.FULL,
        missing=_missing,
        command=lambda place: _command(place, full=True, cached=True),
        unequal=_UNEQUAL,
    ),
    Variant(
        name="fastify, verified each time",
        work=Work.FULL,
        missing=_missing,
        command=lambda place: _command(place, full=True),
        unequal=_UNEQUAL,
    ),
    Variant(
        name="fastify",
        work=Work.BARE,
        missing=_missing,
        command=lambda place: _command(place, full=False),
    ),
)


def versions() -> Mapping[str, str]:
    """What package.json pins."""
    pinned_there: dict[str, str] = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    return pinned_there
