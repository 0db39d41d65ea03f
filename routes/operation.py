"""`Operation`: something that can be done to a resource beside reading and writing its rows, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from catalog.column import CatalogError, Type
from catalog.stage import Stage
from routes.resource import PREFIX


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
