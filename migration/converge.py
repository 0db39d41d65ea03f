"""`Converge`: brings the other side up to what one side holds of some keys (data-rules 3.4).

Mirror, change capture, backfill and repair all end here; they differ in where keys come from. The direction is the
side that spoke, never a user's stage. It may run twice, late, and beside others for the same key: the guard at the
target decides. What the guard refuses has an intent or a log entry of its own, so one direction suffices.

`run` raises Refused (migration/store.py) if a database refuses a whole call in a way that a repeat cannot cure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from catalog import assets
from catalog.asset import Asset
from catalog.stage import Side
from migration.guard import Verdict
from migration.store import MOST_ITEMS, Answer, Change, Held, Store, Unavailable, transient
from migration.subjects import ENTITY as SUBMISSIONS
from migration.subjects import Subjects
from migration.version import Version
from routes.key import Key

_NO_PARENT = "23503"
_TAKEN = "23505"
_DEEPEST = 8
"""How long a chain of values that change hands is followed: A wants what B holds, B what C holds, ..."""


class Outcome(StrEnum):
    """What a worker does next with a key."""

    DONE = "done"
    """The other side holds this version or a newer one, or there was nothing to bring."""
    PARKED = "parked"
    """Its stamp lies ahead of the clock (data-rules 2.7)."""
    WAITING = "waiting"
    """Its parent is not there yet."""
    FENCED = "fenced"
    """The epoch rose while this was under way: again."""
    RETRY = "retry"
    """Nothing is known: again, later."""
    POISON = "poison"
    """A repeat will not help; `detail` says why."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of one key. `detail`: an SQLSTATE, or column and rule; never a value."""

    outcome: Outcome
    conflict: bool = False
    """A true conflict was recorded on one of the sides."""
    detail: str = ""
    version: Version | None = None
    """What the side that spoke holds; null: nothing, or it could not be read."""


class Converge:
    """`stores`: one for each side."""

    def __init__(self, stores: Mapping[Side, Store], subjects: Subjects) -> None:
        self._stores = stores
        self._subjects = subjects
        self._epochs: dict[tuple[str, Side], int] = {}

    async def run(self, entity: str, keys: Sequence[Key], side: Side) -> Mapping[Key, Result]:
        """`side`: the one that spoke, which is read. A key that is named twice is converged once."""
        asset, distinct = assets()[entity], list(dict.fromkeys(keys))
        results: dict[Key, Result] = {}
        for start in range(0, len(distinct), MOST_ITEMS):
            chunk = distinct[start : start + MOST_ITEMS]
            try:
                results |= await self._chunk(asset, chunk, side)
            except Unavailable as error:
                results |= dict.fromkeys(chunk, Result(outcome=Outcome.RETRY, detail=error.code))
        return results

    async def _chunk(self, asset: Asset, keys: Sequence[Key], side: Side) -> dict[Key, Result]:
        held = await self._stores[side].read(asset, keys)
        conflicts = await self._tidied(asset, held, side)
        changes = {key: change for key in keys if (change := _change(key, held[key]))}
        answers = await self._brought(asset, list(changes.values()), side)
        answers |= await self._untangled(asset, changes, answers, side)
        results = {}
        for key in keys:
            result = _result(held[key], changes.get(key), answers.get(key))
            results[key] = replace(result, conflict=result.conflict or key in conflicts)
        return results

    async def _tidied(self, asset: Asset, held: Mapping[Key, Held], side: Side) -> frozenset[Key]:
        """Where row and tombstone stand beside each other, the lesser is removed where they stand; the keys of conflicts.

        The tombstone is applied to its own side: it is there already, so the guard changes nothing but to put away the lesser.
        """
        graves = [
            Change(key=key, version=one.tombstone)
            for key, one in held.items()
            if one.row and one.tombstone
        ]
        if not graves:
            return frozenset()
        answers = await self._stores[side].apply(asset, graves, epoch=None)
        pairs = zip(graves, answers, strict=True)
        return frozenset(grave.key for grave, answer in pairs if answer.conflict)

    async def _brought(
        self, asset: Asset, changes: Sequence[Change], side: Side, *, together: bool = False
    ) -> dict[Key, Answer]:
        """Under an epoch of our own, which is asked for anew when it is refused."""
        if not changes:
            return {}
        if asset.entity == SUBMISSIONS:
            await self._subjects.tell(changes, to=side.other)
        found = await self._applied(asset, changes, side.other, together=together)
        fenced = [c for c in changes if found[c.key].verdict is Verdict.FENCED]
        if fenced:
            # Another batch may have been refused, and have asked, meanwhile.
            self._epochs.pop((asset.entity, side.other), None)
            found |= await self._applied(asset, fenced, side.other, together=together)
        return found

    async def _applied(
        self, asset: Asset, changes: Sequence[Change], to: Side, *, together: bool
    ) -> dict[Key, Answer]:
        target, place = self._stores[to], (asset.entity, to)
        if place not in self._epochs:
            self._epochs[place] = await target.epoch(asset)
        answers = await target.apply(asset, changes, epoch=self._epochs[place], together=together)
        return {change.key: answer for change, answer in zip(changes, answers, strict=True)}

    # --- unique values that change hands

    async def _untangled(
        self,
        asset: Asset,
        changes: Mapping[Key, Change],
        answers: Mapping[Key, Answer],
        side: Side,
    ) -> dict[Key, Answer]:
        """New answers for what failed because another row still holds a value of theirs.

        The holders are converged first, the last of the chain before the others; a ring has no last one and goes together.
        """
        stuck = [changes[key] for key, answer in answers.items() if answer.code == _TAKEN]
        if not stuck:
            return {}
        chain = await self._chain(asset, stuck, side)
        found: dict[Key, Answer] = {}
        for link in reversed(chain):
            found |= await self._brought(asset, link, side)
        if self._stores[side.other].changes_hands and any(a.code == _TAKEN for a in found.values()):
            ring = [change for link in chain for change in link][:MOST_ITEMS]
            found |= await self._brought(asset, ring, side, together=True)
        return {key: answer for key, answer in found.items() if key in changes}

    async def _chain(
        self, asset: Asset, stuck: Sequence[Change], side: Side
    ) -> Sequence[Sequence[Change]]:
        """What is stuck, then the changes of those that hold its values, then of those that hold theirs."""
        chain, known = [stuck], {change.key for change in stuck}
        while len(chain) <= _DEEPEST:
            holders = await self._stores[side.other].holders(asset, chain[-1]) - known
            if not holders:
                break
            known |= holders
            link: list[Change] = []
            for keys in _chunks(sorted(holders)):
                held = await self._stores[side].read(asset, keys)
                link += [change for key in keys if (change := _change(key, held[key]))]
            chain.append(link)
        return chain


def _chunks(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), MOST_ITEMS):
        yield keys[start : start + MOST_ITEMS]


def _change(key: Key, held: Held) -> Change | None:
    """The version of the key, if it has one that can go."""
    row, grave = held.row, held.tombstone
    if row and not (grave and grave.pair >= row.pair):
        return Change(key=key, version=row, content=held.content)
    return Change(key=key, version=grave) if grave else None


def _result(held: Held, change: Change | None, answer: Answer | None) -> Result:
    if held.refusal:
        return Result(outcome=Outcome.POISON, detail=held.refusal)
    if change is None or answer is None:
        return Result(outcome=Outcome.DONE)
    outcome, detail = _outcome(answer)
    return Result(outcome=outcome, detail=detail, conflict=answer.conflict, version=change.version)


def _outcome(answer: Answer) -> tuple[Outcome, str]:
    match answer.verdict:
        case Verdict.APPLIED | Verdict.SAME | Verdict.STALE:
            return Outcome.DONE, ""
        case Verdict.PARKED:
            return Outcome.PARKED, ""
        case Verdict.FENCED:
            return Outcome.FENCED, ""
        case Verdict.DIFFERS:
            return Outcome.POISON, answer.verdict
        case Verdict.ERROR if answer.code == _NO_PARENT:
            return Outcome.WAITING, answer.code
        case Verdict.ERROR if transient(answer.code):
            return Outcome.RETRY, answer.code
        case Verdict.ERROR:
            return Outcome.POISON, answer.code
        case _:
            assert_never(answer.verdict)
