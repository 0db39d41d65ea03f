"""What a /v2 read asks for: a list or an item, checked. Pure; gateway and services read requests by it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from catalog.column import Column
from routes.key import Key, parse_key, parse_part
from routes.match import Match
from routes.query import ListQuery, QueryError, parse_list
from routes.refused import InvalidKey, InvalidQuery
from routes.resource import LONGEST_WAIT, Resource
from routes.value import ValueRefused

_SECONDS = re.compile(rb"[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class AskedItem:
    """One row, by its key. `wait`: seconds for which its next version may be waited for, if it is the one that is known."""

    resource: Resource
    key: Key
    wait: int = 0


@dataclass(frozen=True, kw_only=True)
class AskedList:
    """A page; `counted`: with the number of all rows."""

    query: ListQuery
    counted: bool

    @property
    def resource(self) -> Resource:
        return self.query.resource


Asked = AskedItem | AskedList


def read_asked(
    found: Match, query: bytes, prefer: Iterable[bytes], *, staff: bool, cursor_key: bytes
) -> Asked:
    """The meaning of a matched path with its raw query string and its Prefer headers. Raises Refused."""
    resource = found.resource
    try:
        if found.item is not None:
            if query:
                raise InvalidQuery("query", "an_item_takes_none")
            wait = wanted_wait(prefer) if resource.waits else 0
            return AskedItem(resource=resource, key=asked_key(found), wait=wait)
        parsed = parse_list(
            resource, query, staff=staff, parent=asked_parent(found), cursor_key=cursor_key
        )
    except QueryError as refused:
        raise InvalidQuery(refused.field, refused.code) from None
    return AskedList(query=parsed, counted=wants_count(prefer))


def wants_count(prefer: Iterable[bytes]) -> bool:
    """`count=exact` among the wishes of any Prefer header (RFC 7240)."""
    return any(wish.lower() == b"count=exact" for wish in _wishes(prefer))


def wanted_wait(prefer: Iterable[bytes]) -> int:
    """The seconds of `wait=N`, at most LONGEST_WAIT; 0 where it is not wished for, or not clear. The first wish counts."""
    for wish in _wishes(prefer):
        name, _, seconds = wish.partition(b"=")
        if name.strip().lower() == b"wait":
            found = _SECONDS.fullmatch(seconds.strip())
            return min(int(found[0]), LONGEST_WAIT) if found else 0
    return 0


def _wishes(prefer: Iterable[bytes]) -> list[bytes]:
    return [wish.strip() for wish in b",".join(prefer).split(b",")]


def asked_key(found: Match) -> Key:
    """The key of the row that a path names. Raises InvalidKey."""
    assert found.item is not None  # noqa: S101 - asked for paths with an item
    try:
        return parse_key(found.resource.asset, found.item)
    except ValueRefused as refused:
        raise InvalidKey(refused.code) from None


def asked_parent(found: Match) -> str | None:
    """The key of the parent in a nested path; None elsewhere. Raises InvalidKey."""
    if found.parent is None:
        return None
    column = found.resource.asset.by_target[found.resource.parent_column]
    assert isinstance(column, Column)  # noqa: S101 - Resource takes no other parent column
    try:
        return parse_part(column, found.parent)
    except ValueRefused as refused:
        raise InvalidKey(refused.code) from None
