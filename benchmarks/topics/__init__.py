"""One module per topic: `TOPIC`, its name, and `run(size)`, which yields its claims as they are measured."""

from collections.abc import AsyncIterator, Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules

from benchmarks.claim import Claim
from benchmarks.size import Size

Run = Callable[[Size], AsyncIterator[Claim]]


def topics() -> Mapping[str, Run]:
    """Every topic by name."""
    modules = [import_module(f"benchmarks.topics.{found.name}") for found in iter_modules(__path__)]
    return {module.TOPIC: module.run for module in modules}
