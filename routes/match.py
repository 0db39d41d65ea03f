"""Which resource a path names. Pure; exact case, no trailing slash, nothing merged or normalised."""

from typing import Final

from routes import operations, resources
from routes.operation import LARGEST_STREAM, Body, Operation
from routes.resource import PREFIX, Resource


class Match:
    """`item` and `parent` are raw path segments, still percent-encoded. Treat it as frozen."""

    __slots__ = ("entity", "item", "operations", "parent", "path", "pattern", "resource")

    def __init__(
        self,
        resource: Resource,
        *,
        item: bytes | None = None,
        parent: bytes | None = None,
        operations: dict[str, Operation] | None = None,
    ) -> None:
        self.resource = resource
        self.item = item
        self.parent = parent
        self.operations = operations
        """By method, if the path is no row's and no collection's; `item` is then the row that it is done to."""
        self.path = resource.path
        self.entity = resource.entity
        self.pattern = _pattern(resource, item, operations)
        """The route as it may stand in logs and metrics."""


def _pattern(
    resource: Resource, item: bytes | None, operations: dict[str, Operation] | None
) -> str:
    for operation in (operations or {}).values():
        return operation.pattern
    return resource.collection_path + ("" if item is None else "/{key}")


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
        within = (*segments[:-2], b"{id}", last)
        nested = _COLLECTIONS.get(within)
        if nested is not None:
            return Match(nested, parent=segments[-2])
        found = _OPERATIONS.get(within)
        if found is not None:
            return Match(found[0], item=segments[-2], operations=found[1])
    return None


def _segments(pattern: str) -> tuple[bytes, ...]:
    return tuple(pattern.encode().split(b"/"))


def _by_pattern() -> dict[str, tuple[Resource, dict[str, Operation]]]:
    owners = {r.entity: r for r in resources()}
    found: dict[str, tuple[Resource, dict[str, Operation]]] = {}
    for one in operations():
        found.setdefault(one.pattern, (owners[one.entity], {}))[1][one.method] = one
    return found


_OPERATIONS: Final = {_segments(pattern): found for pattern, found in _by_pattern().items()}

_WHOLE: Final = {
    **{(PREFIX + r.path).encode(): Match(r) for r in resources() if not r.nested},
    **{
        pattern.encode(): Match(found[0], operations=found[1])
        for pattern, found in _by_pattern().items()
        if "{id}" not in pattern
    },
}
"""The paths that are always the same."""

_COLLECTIONS: Final = {_segments(PREFIX + r.path): r for r in resources()}


def streamed_most(path: bytes) -> int:
    """How many bytes a PUT here may pass on as they come; 0 where no route takes such a body."""
    found = match(path)
    operation = None if found is None or found.operations is None else found.operations.get("PUT")
    return LARGEST_STREAM if operation is not None and operation.body is Body.STREAM else 0
