"""`Operation`: something that can be done to a resource beside reading and writing its rows, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from catalog.column import CatalogError, Column, Type
from catalog.stage import Stage
from routes.problem import FieldError
from routes.refused import InvalidFields
from routes.resource import PREFIX
from routes.value import ValueRefused, canonical
from routes.written import checked_value, printable


class Body(StrEnum):
    """What a request or an answer carries."""

    NONE = "none"
    JSON = "json"
    STREAM = "stream"
    """Bytes of any kind, up to `LARGEST_STREAM`, with a deadline for progress instead of one for the whole."""


LARGEST_STREAM = 50 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member of a JSON body, or a parameter of a query."""

    type: Type
    required: bool = False
    values: tuple[str, ...] = ()
    """A closed vocabulary."""
    least: int | None = None
    most: int | None = None
    longest: int | None = None
    """Characters of a text, which then is not empty either."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """Only a service can do it: a user below `since` gets 409 `not_available_at_stage` (decisions.md 9)."""

    path: str
    """Behind /v2; `{id}` stands for the row's key."""
    method: str
    entity: str
    summary: str
    since: Stage = Stage.LIVE
    members: Mapping[str, Member] = field(default_factory=dict)
    """Of the JSON body, or of the query of a GET."""
    body: Body = Body.NONE
    answers: Body = Body.JSON
    answer: Mapping[str, Member] = field(default_factory=dict)
    """Members of the JSON answer, where it is no row."""
    gives: str = ""
    """Entity of the row that is answered, where it is not the one that the path names."""
    keyed: bool = False
    """`Idempotency-Key` is required."""
    signed: bool = False
    """No user asks, but a system that signs its requests."""
    home: str = ""
    """Member that names the user at whose side it is done (decisions.md 16)."""

    def __post_init__(self) -> None:
        if self.method not in ("GET", "POST", "PUT"):
            raise CatalogError(f"{self.path}: {self.method} is no method of an operation")
        if self.since.rank < Stage.LIVE.rank:
            raise CatalogError(f"{self.path}: below live there is no service that could do it")

    @property
    def pattern(self) -> str:
        return PREFIX + self.path


def read_members(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """The checked members of a body, or of a query whose values are texts. Raises InvalidFields that names each refused one."""
    errors = [
        FieldError(field=printable(name), code="unknown_field")
        for name in given
        if name not in operation.members
    ]
    found: dict[str, Any] = {}
    for name, member in operation.members.items():
        value = given.get(name)
        if value is None:
            if member.required:
                errors.append(FieldError(field=name, code="required"))
            continue
        try:
            found[name] = _member(member, value, text=operation.method == "GET")
        except ValueRefused as refused:
            errors.append(FieldError(field=name, code=refused.code))
    if errors:
        raise InvalidFields(errors)
    return found


def _member(member: Member, value: Any, *, text: bool) -> Any:
    column = Column(source="", target="", type=member.type, least=member.least, most=member.most)
    if text and member.type is Type.INTEGER:
        value = int(canonical(column, value))
    found = checked_value(column, value)
    if member.longest is not None and not 1 <= len(found) <= member.longest:
        raise ValueRefused("empty_or_too_long")
    if member.values and found not in member.values:
        raise ValueRefused("unknown_value")
    return found
