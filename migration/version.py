"""`Version`: who wrote a row or a tombstone, when, and over what (data-rules section 2). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalog.stage import Side

_TICK = timedelta(microseconds=1)
_RANK = {Side.LEGACY: 0, Side.SERVICE: 1}


@dataclass(frozen=True, kw_only=True)
class Version:
    """The five stamps. All times are aware and in microseconds."""

    updated_at: datetime
    origin: Side
    """The side where it was written."""
    row_version: int
    correlation_id: str | None
    seen_at: datetime | None
    """`updated_at` of the newest version of the other side that this one was built on; null: none."""

    @property
    def pair(self) -> tuple[datetime, int]:
        """By which versions of one key are ordered; equal pairs are one version."""
        return (self.updated_at, _RANK[self.origin])

    def has_seen(self, other: "Version") -> bool:
        """Was this one built on `other`, a version of the other side, or on a later one?"""
        return self.seen_at is not None and self.seen_at >= other.updated_at


def successor(
    bases: Iterable[Version], *, here: Side, clock: datetime, correlation_id: str | None
) -> Version:
    """The version of a user's write. `bases` are what it replaces: the row, the tombstone, both or none."""
    found = tuple(bases)
    seen = [s for b in found if (s := b.seen_at if b.origin is here else b.updated_at) is not None]
    return Version(
        updated_at=max([clock, *(base.updated_at + _TICK for base in found)]),
        origin=here,
        row_version=max([1, *(base.row_version + 1 for base in found)]),
        correlation_id=correlation_id,
        seen_at=max(seen, default=None),
    )
