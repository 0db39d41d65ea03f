"""`Pins`: which side a user's own writes are at, until the other side has them (data-rules section 5). Pure.

A pin is an announced write that is not settled. Reads ask for nothing but memory, and for nothing at all while nobody is
pinned; the feed beside it (gateway.pinfeed) brings what other processes announce.
"""

from collections.abc import Iterable

from catalog import assets
from catalog.asset import Asset
from catalog.stage import Side
from runtime.intent import Closed, Intent, Outcome, Said, Settled


class Pins:
    """Of one process."""

    def __init__(self) -> None:
        self.open: dict[str, dict[str, Intent]] = {}
        """By `user aggregate`: the user's intents that hold a side, by their ids. What shares a flag shares its pins."""
        self._place: dict[str, str] = {}
        self._over: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._place)

    def hear(self, said: Said) -> None:
        """What the stream says, or this process itself. Twice is once; an end that comes before its beginning ends it, too."""
        match said:
            case Intent():
                self._hold(said)
            case Closed(id=id_, outcome=Outcome.NOT_APPLIED) | Settled(id=id_):
                self._end(id_)
            case Closed():
                pass  # it stands, or may stand, at its authority alone

    def sides(self, user: str, aggregate: str) -> frozenset[Side]:
        """The sides that hold something of this user's that the other one may not have yet."""
        held = self.open.get(_place(user, aggregate))
        return frozenset(intent.authority for intent in held.values()) if held else _NONE

    def side(self, user: str, aggregate: str, scope: str) -> Side | None:
        """Where this user's next write in the scope goes, so that the user's own writes follow each other."""
        held = self.open.get(_place(user, aggregate))
        if not held:
            return None
        return _latest(intent for intent in held.values() if intent.scope == scope)

    def of_row(self, user: str, asset: Asset, key: tuple[str, ...]) -> Side | None:
        """The side that holds this user's latest write of one row."""
        held = self.open.get(_place(user, asset.flag_entity))
        if not held:
            return None
        return _latest(
            intent
            for intent in held.values()
            if intent.key == key and intent.entity == asset.entity
        )

    def _hold(self, intent: Intent) -> None:
        asset = assets().get(intent.entity)
        if intent.id in self._place or intent.id in self._over or asset is None:
            return
        place = _place(intent.user, asset.flag_entity)
        self._place[intent.id] = place
        self.open.setdefault(place, {})[intent.id] = intent

    def _end(self, id_: str) -> None:
        self._over[id_] = None
        if len(self._over) > _REMEMBERED:
            del self._over[next(iter(self._over))]
        place = self._place.pop(id_, None)
        if place is None:
            return
        held = self.open[place]
        del held[id_]
        if not held:
            del self.open[place]


def _latest(found: Iterable[Intent]) -> Side | None:
    """By their ids, which begin with the time: this process hears of its own intents before it has read older ones of others."""
    latest = max(found, key=lambda intent: intent.id, default=None)
    return None if latest is None else latest.authority


_REMEMBERED = 10_000
"""Ends that are remembered, for beginnings that are read behind them."""
_NONE: frozenset[Side] = frozenset()


def _place(user: str, aggregate: str) -> str:
    return f"{user} {aggregate}"
