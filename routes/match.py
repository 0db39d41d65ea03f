"""Which resource a path names. Pure; exact case, no trailing slash, nothing merged or normalised."""

from dataclasses import dataclass, field
from functools import cache

from routes import resources
from routes.resource import PREFIX, Resource


@dataclass(frozen=True, kw_only=True)
class Match:
    """`item` and `parent` are raw path segments, still percent-encoded."""

    resource: Resource
    item: bytes | None = None
    parent: bytes | None = None
    pattern: str = field(init=False, default="")
    """The route as it may stand in logs and metrics."""

    def __post_init__(self) -> None:
        key = "/{key}" if self.item is not None else ""
        object.__setattr__(self, "pattern", self.resource.collection_path + key)


def match(path: bytes) -> Match | None:
    """The resource of a raw path (without query), or None."""
    collection = _whole().get(path)
    if collection is not None:
        return collection
    segments = tuple(path.split(b"/"))
    collections = _collections()
    *head, last = segments
    owner = collections.get(tuple(head))
    if owner is not None and not owner.nested and last:
        return Match(resource=owner, item=last)
    if len(segments) > 3 and segments[-2]:
        nested = collections.get((*segments[:-2], b"{id}", last))
        if nested is not None:
            return Match(resource=nested, parent=segments[-2])
    return None


@cache
def _whole() -> dict[bytes, Match]:
    """The collections whose path is always the same."""
    return {(PREFIX + r.path).encode(): Match(resource=r) for r in resources() if not r.nested}


@cache
def _collections() -> dict[tuple[bytes, ...], Resource]:
    return {tuple((PREFIX + r.path).encode().split(b"/")): r for r in resources()}
