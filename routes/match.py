"""Which resource a path names. Pure; exact case, no trailing slash, nothing merged or normalised."""

from typing import Final

from routes import resources
from routes.resource import PREFIX, Resource


class Match:
    """`item` and `parent` are raw path segments, still percent-encoded. Treat it as frozen."""

    __slots__ = ("entity", "item", "parent", "path", "pattern", "resource")

    def __init__(
        self, resource: Resource, *, item: bytes | None = None, parent: bytes | None = None
    ) -> None:
        self.resource = resource
        self.item = item
        self.parent = parent
        self.path = resource.path
        self.entity = resource.entity
        self.pattern = resource.collection_path + ("" if item is None else "/{key}")
        """The route as it may stand in logs and metrics."""


def match(path: bytes) -> Match | None:
    """The resource of a raw path (without query), or None."""
    collection = _WHOLE.get(path)
    if collection is not None:
        return collection
    segments = tuple(path.split(b"/"))
    owner = _COLLECTIONS.get(segments[:-1])
    last = segments[-1]
    if owner is not None and not owner.nested and last:
        return Match(owner, item=last)
    if len(segments) > 3 and segments[-2]:
        nested = _COLLECTIONS.get((*segments[:-2], b"{id}", last))
        if nested is not None:
            return Match(nested, parent=segments[-2])
    return None


_WHOLE: Final = {(PREFIX + r.path).encode(): Match(r) for r in resources() if not r.nested}
"""The collections whose path is always the same."""

_COLLECTIONS: Final = {tuple((PREFIX + r.path).encode().split(b"/")): r for r in resources()}
