"""`Store`: one side's rows as a converge sees them, and its words. Two engines and a fake keep the promises below.

Rows travel as JSON texts that PostgreSQL wrote, by the column names of the side that takes them, and nobody opens them
on the way: so numbers, instants and arrays arrive exactly as they were.

StoreError     of a whole call; an item's own trouble is its answer's
  Unavailable  the call may be repeated: connection lost, timeout, deadlock
  Refused      the database will refuse it again
Both hold an SQLSTATE or the name of an exception's class, never a text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from catalog.asset import Asset
from catalog.stage import Side
from migration.guard import Verdict
from migration.version import Version
from routes.key import Key

MOST_ITEMS = 500
"""In one call."""

NEWEST_ROWS = 10_000
"""How far back a write is looked for whose answer, and with it the number of its row, was lost."""

_TRANSIENT_CLASSES = frozenset({"08", "40", "53", "55", "57", "58"})
"""Of SQLSTATEs: connection, rollback, resources, object not ready, operator's hand, system."""


def transient(sqlstate: str) -> bool:
    """May the same succeed later, with nothing else changed?"""
    return sqlstate[:2] in _TRANSIENT_CLASSES


class StoreError(Exception):
    """The call has no answer."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Unavailable(StoreError):
    """Nothing is known of the outcome; every item may be sent again."""


class Refused(StoreError):
    """As long as database and code are what they are."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a side holds of one key. Row and tombstone may stand beside each other: then the greater pair is the version."""

    row: Version | None = None
    content: str = ""
    """The row as a JSON object by the *other* side's names; empty: there is no row."""
    tombstone: Version | None = None
    refusal: str = ""
    """Why the key cannot be read or has no counterpart: `column: rule`, or an SQLSTATE. The rest is empty then."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A version on its way."""

    key: Key
    version: Version
    content: str = ""
    """A JSON object by the names of the side that takes it; empty: the key was deleted."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of one change."""

    verdict: Verdict
    conflict: bool = False
    """The call recorded a true conflict, on the side that was called."""
    code: str = ""
    """SQLSTATE of an ERROR."""


class Store(Protocol):
    """One side. At most MOST_ITEMS keys or changes in a call, each key once. Raises StoreError."""

    @property
    def side(self) -> Side: ...

    @property
    def changes_hands(self) -> bool:
        """May unique values change hands within one call of `apply`, with `together`?"""
        ...

    async def read(self, asset: Asset, keys: Sequence[Key]) -> Mapping[Key, Held]:
        """Every key's row and tombstone, all from one snapshot."""
        ...

    async def apply(
        self, asset: Asset, changes: Sequence[Change], *, epoch: int | None, together: bool = False
    ) -> Sequence[Answer]:
        """The guarded apply of each change, in their order. `together`: all or none."""
        ...

    async def holders(self, asset: Asset, changes: Sequence[Change]) -> frozenset[Key]:
        """Keys of other rows that hold unique values which these changes bring."""
        ...

    async def epoch(self, asset: Asset) -> int:
        """The epoch in force."""
        ...

    async def made_by(self, asset: Asset, correlation_id: str) -> frozenset[Key]:
        """Keys of rows whose last version has this correlation id, among the NEWEST_ROWS of a table that numbers its rows."""
        ...

    async def children(self, asset: Asset, parent: str, keys: Sequence[Key]) -> Mapping[Key, Key]:
        """The rows of `asset` whose reference to entity `parent` is one of these keys: their key -> the parent's."""
        ...
