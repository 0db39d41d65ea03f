"""One module per topic: `TOPIC`, its name, and `run(size)`, which yields its claims as they are measured.

A topic that can be measured in parts has `PARTS` as well: name -> `run(size)` of that part alone.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from benchmarks.claim import Claim
from benchmarks.size import Size

Run = Callable[[Size], AsyncIterator[Claim]]


def topics() -> Mapping[str, Run]:
    """Every topic by name."""
    return {module.TOPIC: module.run for module in _modules()}


def parts(topic: str) -> Mapping[str, Run]:
    """The parts of a topic by name; none if it is measured as a whole only."""
    module = next(module for module in _modules() if topic == module.TOPIC)
    found: Mapping[str, Run] = getattr(module, "PARTS", {})
    return found


def _modules() -> list[ModuleType]:
    return [import_module(f"benchmarks.topics.{found.name}") for found in iter_modules(__path__)]
