"""WHAT /v2 exposes: one data module per resource, and the language of reads and writes. No I/O.

A module that holds `RESOURCES` (or `OPERATIONS`) is exposed; no list names them.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from routes.operation import Operation
from routes.resource import Resource


@cache
def resources() -> tuple[Resource, ...]:
    """Everything that /v2 exposes, by path."""
    found = [r for m in _modules() for r in getattr(m, "RESOURCES", ())]
    return tuple(sorted(found, key=lambda resource: resource.path))


@cache
def operations() -> tuple[Operation, ...]:
    """What can be done beside reading and writing rows, by path and method."""
    found = [o for m in _modules() for o in getattr(m, "OPERATIONS", ())]
    return tuple(sorted(found, key=lambda operation: (operation.path, operation.method)))


def _modules() -> list[ModuleType]:
    return [import_module(f"routes.{found.name}") for found in iter_modules(__path__)]
