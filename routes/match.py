"""Which resource a path names. Pure; exact case, no trailing slash, nothing merged or normalised."""

from dataclasses import dataclass
from functools import cache

from routes import resources
from routes.resource import PREFIX, Resource


@dataclass(frozen=True, kw_only=True)
class Match:
    """`item` and `parent` are raw path segments, still percent-encoded."""

    resource: Resource
    item: bytes | None = None
    parent: bytes | None = None

    @property
    def pattern(self) -> str:
        """The route as it may stand in logs and metrics."""
        return self.resource.collection_path + ("/{key}" if self.item is not None else "")


def match(path: bytes) -> Match | None:
    """The resource of a raw path (without query), or None."""
    segments = tuple(path.split(b"/"))
    collections = _collections()
    exact = collections.get(segments)
    if exact is not None and not exact.nested:
        return Match(resource=exact)
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
def _collections() -> dict[tuple[bytes, ...], Resource]:
    return {tuple((PREFIX + r.path).encode().split(b"/")): r for r in resources()}
