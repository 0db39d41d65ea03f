"""WHAT /v2 exposes: one data module per resource, and the v2 query language. No I/O.

A module that holds a `RESOURCE` (or `RESOURCES`) is exposed; no list names them.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from routes.resource import Resource


@cache
def resources() -> tuple[Resource, ...]:
    """Everything that /v2 exposes, by path."""
    modules = [import_module(f"routes.{found.name}") for found in iter_modules(__path__)]
    found = [r for m in modules for r in getattr(m, "RESOURCES", ())]
    return tuple(sorted(found, key=lambda resource: resource.path))
