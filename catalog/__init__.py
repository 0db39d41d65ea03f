"""WHAT moves: one declarative module per Supabase table, and the vocabulary they are written in.

A module that holds an `ASSET` is a table; no list names them.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from catalog.asset import Asset
from catalog.column import CatalogError


@cache
def assets() -> Mapping[str, Asset]:
    """Every described table by entity name, parents before children."""
    modules = [import_module(f"catalog.{found.name}") for found in iter_modules(__path__)]
    described = {m.ASSET.entity: m.ASSET for m in modules if hasattr(m, "ASSET")}
    return MappingProxyType(parents_first(described))


def parents_first(described: Mapping[str, Asset]) -> dict[str, Asset]:
    """In an order in which rows can be written. Raises CatalogError if there is none."""
    ordered: dict[str, Asset] = {}
    for entity in sorted(described):
        _place(described, (entity,), ordered)
    return ordered


def _place(
    described: Mapping[str, Asset], path: tuple[str, ...], ordered: dict[str, Asset]
) -> None:
    """Put the last of `path`, which its predecessors need, behind all that it needs itself."""
    *above, entity = path
    if entity in above:
        raise CatalogError(f"{' -> '.join(path)}: a circle of `references` has no first table")
    if entity not in described:
        raise CatalogError(f"{' -> '.join(path)}: no module describes the last one")
    if entity not in ordered:
        for column in described[entity].references:
            if column.references != entity:
                _place(described, (*path, column.references), ordered)
        ordered[entity] = described[entity]
