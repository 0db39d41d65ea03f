"""Which modules have a compiled form, and which one it is: the name of a build follows from all that it was made of."""

import hashlib
import platform
import sysconfig
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".compiled"
"""One folder per build, named after it."""
GROUP = "banyan_data_plane"
"""mypyc puts all modules into one library of this name, so that they call each other directly."""

MODULES = (
    "gateway.call",
    "gateway.cors",
    "gateway.credentials",
    "gateway.deps",
    "gateway.edge.body",
    "gateway.edge.connection",
    "gateway.edge.head",
    "gateway.edge.reader",
    "gateway.edge.request",
    "gateway.edge.served",
    "gateway.edge.target",
    "gateway.facts",
    "gateway.forward",
    "gateway.identify",
    "gateway.limits",
    "gateway.overload",
    "gateway.pipeline",
    "gateway.plan",
    "gateway.plans",
    "gateway.response",
    "gateway.server",
    "gateway.shadowing.counts",
    "gateway.shadowing.judge",
    "gateway.shadowing.pair",
    "gateway.shadowing.reading",
    "gateway.shadowing.reads",
    "gateway.shadowing.room",
    "gateway.shadowing.sides",
    "gateway.shadowing.told",
    "gateway.tally",
    "gateway.user",
    "routes.match",
    "runtime.accesslog",
    "runtime.correlation",
    "runtime.headernames",
    "runtime.identity",
    "runtime.ratelimit",
    "runtime.upstream.breaker",
    "runtime.upstream.connection",
    "runtime.upstream.exchange",
    "runtime.upstream.outbox",
    "runtime.upstream.pool",
    "runtime.upstream.retry_budget",
    "runtime.upstream.sliding",
    "runtime.upstream.upstream",
    "shadow.durations",
    "shadow.sampling",
)
"""What a read passes through. Whatever is compiled calls the rest as ever."""

_SOURCES = ("catalog", "gateway", "routes", "runtime", "shadow")
"""A constant of a module that is not compiled stands in the compiled ones that use it."""


def path_of(module: str) -> Path:
    """The module's source, from ROOT."""
    return Path(*module.split(".")).with_suffix(".py")


def build_name(modules: Sequence[str] = MODULES, root: Path = ROOT) -> str:
    """The name of the build that the present sources and this interpreter need."""
    sources = {source for folder in _SOURCES for source in (root / folder).rglob("*.py")}
    sources.update(root / path_of(module) for module in modules)
    made_for = (GROUP, modules, library_suffix(), platform.libc_ver())
    digest = hashlib.sha256(repr(made_for).encode())
    for source in sorted(sources):
        if source.exists():
            text = source.read_bytes()
            digest.update(f"\n{source.relative_to(root)} {len(text)}\n".encode())
            digest.update(text)
    return digest.hexdigest()[:32]


def library_suffix() -> str:
    """How extension modules of this interpreter and machine end."""
    return str(sysconfig.get_config_var("EXT_SUFFIX"))
