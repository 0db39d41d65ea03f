"""`Timeline`: what every source says of one correlation id, in the order of time. Pure.

Each line has the clock of the place that it comes from; no two of them are the same clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from catalog.stage import Side

GATEWAY: Final = "gateway"
CONTROL: Final = "control"
LEGACY: Final = Side.LEGACY.value

Row = tuple[str, str]
"""Entity and key, the key as `routes.key.write_key` writes it."""


class What(StrEnum):
    """In the order in which they happen, for lines that have the same instant."""

    TRIED = "tried"
    """The gateway's record of an attempt, for repeats."""
    ANNOUNCED = "announced"
    ROW = "row"
    TOMBSTONE = "tombstone"
    RECORDED = "recorded"
    """In a service's outbox."""
    CLOSED = "closed"
    """The gateway has said how the write ended."""
    REQUEST = "request"
    OPEN = "open"
    """Announced, and not settled when the control database was asked."""
    PUBLISHED = "published"
    SETTLED = "settled"
    DIVERGED = "diverged"
    CONFLICT = "conflict"
    OTHER = "other version"
    """What a side holds of a row that is named here, where that does not carry the id."""
    AUDITED = "audited"


_RANK = {what: number for number, what in enumerate(What)}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that one source says. `facts` are words of ours, ids, stamps and counts."""

    at: datetime
    where: str
    """GATEWAY, CONTROL, LEGACY, `service <name>` or `log <topic>`."""
    what: What
    word: str = ""
    """Which of its kind: an outcome, a state, an event's type."""
    entity: str = ""
    key: str | None = None
    origin: Side | None = None
    """The side where the version was written."""
    updated_at: datetime | None = None
    """The version's stamp."""
    committed: bool = False
    """Of a row or tombstone: `at` is when this side has committed it; else it is the version's stamp."""
    intent: str = ""
    facts: Mapping[str, str | int | float] = field(default_factory=dict)

    @property
    def row(self) -> Row | None:
        return None if self.key is None else (self.entity, self.key)

    @property
    def side(self) -> Side:
        """Of a row or tombstone: where it lies."""
        return Side.LEGACY if self.where == LEGACY else Side.SERVICE


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What was asked, and how far. `trouble`: SQLSTATE, or the name of an exception's class; then it has not answered."""

    where: str
    extent: str
    trouble: str = ""


@dataclass(kw_only=True)
class Findings:
    """What the readers bring, in any order."""

    lines: list[Line] = field(default_factory=list)
    looked: list[Looked] = field(default_factory=list)

    def add(self, lines: Iterable[Line]) -> None:
        self.lines.extend(lines)

    def look(self, where: str, extent: str, trouble: str = "") -> None:
        self.looked.append(Looked(where=where, extent=extent, trouble=trouble))


@dataclass(frozen=True, kw_only=True)
class Timeline:
    lines: Sequence[Line]
    looked: Sequence[Looked]

    @property
    def missing(self) -> Sequence[Looked]:
        """What has not answered: then nothing follows from what is not here."""
        return [one for one in self.looked if one.trouble]

    @property
    def numbers(self) -> Mapping[Row, int]:
        """A number for each row, from 1, by which it is told from others without its key."""
        named = dict.fromkeys(line.row for line in self.lines if line.row is not None)
        return {row: number for number, row in enumerate(named, 1)}


def timeline(findings: Findings) -> Timeline:
    return Timeline(
        lines=sorted(findings.lines, key=lambda line: (line.at, _RANK[line.what], line.where)),
        looked=sorted(findings.looked, key=lambda one: (one.where, one.extent)),
    )
