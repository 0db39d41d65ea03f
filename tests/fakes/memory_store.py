"""A side in memory: the same promises as `PostgresStore`, held to them by the same suite, and a place where users write.

Rows are dictionaries of JSON values by this side's names. Only the rules of migration/guard.py decide.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from catalog.asset import Asset, Kind
from catalog.column import Column
from catalog.stage import Side
from catalog.transform import NoCounterpart, forward, inverse
from migration.guard import Conflict, Verdict, decide
from migration.store import Answer, Change, Held
from migration.version import Version, successor
from routes.key import Key

Row = dict[str, Any]
Place = tuple[str, Key]
_TAKEN = "23505"


@dataclass(frozen=True, kw_only=True)
class _Content:
    rows: dict[Place, tuple[Version, Row]] = field(default_factory=dict)
    tombstones: dict[Place, Version] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)

    def copy(self) -> "_Content":
        return _Content(
            rows=dict(self.rows),
            tombstones=dict(self.tombstones),
            conflicts=list(self.conflicts),
        )


class MemoryStore:
    """`uniques`: by entity the groups of columns, by this side's names, whose values are unique."""

    def __init__(
        self,
        side: Side,
        *,
        clock: Callable[[], datetime],
        uniques: Mapping[str, Sequence[Sequence[str]]] | None = None,
    ) -> None:
        self._side = side
        self._clock = clock
        self._uniques = uniques or {}
        self._content = _Content()
        self.epochs: dict[str, int] = {}

    @property
    def side(self) -> Side:
        return self._side

    @property
    def changes_hands(self) -> bool:
        return self._side is Side.SERVICE

    @property
    def conflicts(self) -> Sequence[Conflict]:
        return self._content.conflicts

    # --- users

    def write(self, asset: Asset, key: Key, row: Row | None, correlation_id: str | None) -> Version:
        """A user's insert, update or delete (`row` null)."""
        place = (asset.entity, key)
        old = self._content.rows.get(place)
        grave = self._content.tombstones.get(place)
        bases = [old[0]] if old else []
        if grave and (row is None or old is None):
            bases.append(grave)
        version = successor(
            bases, here=self._side, clock=self._clock(), correlation_id=correlation_id
        )
        if row is None:
            self._content.rows.pop(place, None)
            self._content.tombstones[place] = version
        else:
            self._content.rows[place] = (version, row)
            if old is None:
                self._content.tombstones.pop(place, None)
        return version

    # --- Store

    async def read(self, asset: Asset, keys: Sequence[Key]) -> Mapping[Key, Held]:
        return {key: self._held(asset, key) for key in keys}

    def _held(self, asset: Asset, key: Key) -> Held:
        row = self._content.rows.get((asset.entity, key))
        held = Held(tombstone=self._content.tombstones.get((asset.entity, key)))
        if row is None:
            return held
        version, values = row
        try:
            return replace(held, row=version, content=_for_the_other(asset, self._side, values))
        except NoCounterpart as refused:
            return Held(refusal=str(refused))

    async def apply(
        self, asset: Asset, changes: Sequence[Change], *, epoch: int | None, together: bool = False
    ) -> Sequence[Answer]:
        if not (together and self.changes_hands):
            return [self._alone(asset, change, epoch) for change in changes]
        before = self._content.copy()
        answers = [self._one(asset, change, epoch) for change in changes]
        if self._twice(asset):
            self._content = before
            return [Answer(verdict=Verdict.ERROR, code=_TAKEN)] * len(changes)
        return answers

    def _alone(self, asset: Asset, change: Change, epoch: int | None) -> Answer:
        before = self._content.copy()
        answer = self._one(asset, change, epoch)
        if self._twice(asset):
            self._content = before
            return Answer(verdict=Verdict.ERROR, code=_TAKEN)
        return answer

    def _one(self, asset: Asset, change: Change, epoch: int | None) -> Answer:
        if epoch is not None and epoch < self.epochs.get(asset.entity, 0):
            return Answer(verdict=Verdict.FENCED)
        place = (asset.entity, change.key)
        row = _values(change.content)
        if asset.kind is Kind.APPEND_ONLY:
            return self._append(place, change, row)
        old = self._content.rows.get(place)
        decision = decide(
            old[0] if old else None,
            self._content.tombstones.get(place),
            change.version,
            deleted=not change.content,
            here=self._side,
            now=self._clock(),
        )
        values = row if decision.verdict is Verdict.APPLIED else old[1] if old else {}
        _put(self._content.rows, place, (decision.row, values) if decision.row else None)
        _put(self._content.tombstones, place, decision.tombstone)
        self._content.conflicts.extend(decision.conflicts)
        return Answer(verdict=decision.verdict, conflict=bool(decision.conflicts))

    def _append(self, place: Place, change: Change, row: Row) -> Answer:
        if not change.content:
            return Answer(verdict=Verdict.ERROR, code="22023")
        _, there = self._content.rows.setdefault(place, (change.version, row))
        if there is row:
            return Answer(verdict=Verdict.APPLIED)
        return Answer(verdict=Verdict.SAME if there == row else Verdict.DIFFERS)

    async def holders(self, asset: Asset, changes: Sequence[Change]) -> frozenset[Key]:
        wanted = [(change.key, _values(change.content)) for change in changes if change.content]
        return frozenset(
            key
            for (entity, key), (_, row) in self._content.rows.items()
            for other, values in wanted
            for columns in self._uniques.get(asset.entity, ())
            if entity == asset.entity and key != other
            if None not in (held := [row[name] for name in columns])
            if held == [values[name] for name in columns]
        )

    async def epoch(self, asset: Asset) -> int:
        return self.epochs.get(asset.entity, 0)

    async def made_by(self, asset: Asset, correlation_id: str) -> frozenset[Key]:
        return frozenset(
            key
            for (entity, key), (version, _) in self._content.rows.items()
            if entity == asset.entity and version.correlation_id == correlation_id
        )

    async def children(self, asset: Asset, parent: str, keys: Sequence[Key]) -> Mapping[Key, Key]:
        [reference] = [c for c in asset.references if c.references == parent]
        name = reference.source if self._side is Side.LEGACY else reference.target
        return {
            key: (str(row[name]),)
            for (entity, key), (_, row) in self._content.rows.items()
            if entity == asset.entity and (str(row[name]),) in keys
        }

    def _twice(self, asset: Asset) -> bool:
        """Does some unique value stand in two rows?"""
        for columns in self._uniques.get(asset.entity, ()):
            held = [
                tuple(row[name] for name in columns)
                for (entity, _), (_, row) in self._content.rows.items()
                if entity == asset.entity and all(row[name] is not None for name in columns)
            ]
            if len(held) > len(set(held)):
                return True
        return False


def _put(there: dict[Place, Any], place: Place, value: Any) -> None:
    if value is None:
        there.pop(place, None)
    else:
        there[place] = value


def _values(content: str) -> Row:
    return dict(json.loads(content, parse_float=Decimal)) if content else {}


def _for_the_other(asset: Asset, side: Side, row: Row) -> str:
    typed = {name: _typed(asset, side, name, value) for name, value in row.items()}
    turned = (forward if side is Side.LEGACY else inverse)(asset, typed)
    return json.dumps(turned, default=str)


def _typed(asset: Asset, side: Side, name: str, value: Any) -> Any:
    """Amounts are what a conversion takes: JSON does not tell 12 from 12.00."""
    amounts = {c.source for c in asset.kept if isinstance(c, Column) and c.convert}
    return (
        Decimal(value) if side is Side.LEGACY and name in amounts and value is not None else value
    )
