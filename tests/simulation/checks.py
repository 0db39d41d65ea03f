"""What must hold of a world when everything has come to rest (data-rules section 1). What must hold at each moment is checked
where it happens (side.py, clients.py).

    not_equal       the two sides hold different versions of a key, or different content
    lost            an acknowledged write is not what the key is, and nothing newer is
    older_over_newer, echo, two_authorities, stale_epoch   (side.py)
    stale_read, wrong_answer                               (clients.py)
    resurrection    a deleted row is there again, and nobody has written it
    unrecorded      an acknowledged write was overwritten unseen, and no conflict says so
    false_conflict  a conflict between a version and one that was built on it
    double_effect   one idempotency key, two effects
    intent_open     an announced write that is not settled
    pin_open        a pin that nobody ends
    own_writes      a user's write that does not build on the same user's earlier one
    died            a task ended with an error that nobody expected
    no_rest         the world does not come to rest
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from catalog.stage import Side
from migration.guard import Conflict
from routes.key import Key
from tests.simulation.history import History, Written, line_of
from tests.simulation.side import WorldSide


def check(history: History, sides: dict[Side, WorldSide], conflicts: Sequence[Conflict]) -> None:
    """Adds what does not hold to `history.violations`."""
    for key in sorted({one.key for one in history.written}):
        for kind, detail in _of_key(history, sides, key, conflicts):
            history.violated(kind, detail)
    for kind, detail in (*_effects(history), *_order(history)):
        history.violated(kind, detail)


def _of_key(
    history: History, sides: dict[Side, WorldSide], key: Key, conflicts: Sequence[Conflict]
) -> Iterator[tuple[str, str]]:
    legacy, service = sides[Side.LEGACY], sides[Side.SERVICE]
    final = legacy.top(key)
    if final != service.top(key) or legacy.row(key) != service.row(key):
        yield "not_equal", f"{_held(history, legacy, key)}; {_held(history, service, key)}"
        return
    written = history.of_key(key)
    newest = max(written, key=lambda one: one.version.pair)
    if final is None:
        yield "lost", f"nothing is left of {newest}"
        return
    held, row = history.of(final), legacy.row(key)
    if newest.version.pair > final.pair:
        back = newest.deleted and not held.deleted
        yield "resurrection" if back else "lost", f"{held} is there, {newest} was written"
    if held.deleted is (row is not None) or (row and row[1]["on_hand"] != held.op.number):
        yield "not_equal", f"{held} with another one's content"
    yield from _conflicts(history, held, written, conflicts)


def _held(history: History, side: WorldSide, key: Key) -> str:
    top = side.top(key)
    return f"{side.side}: {history.of(top) if top else None}"


def _conflicts(
    history: History, held: Written, written: Sequence[Written], conflicts: Sequence[Conflict]
) -> Iterator[tuple[str, str]]:
    line = line_of(held)
    named: set[int] = set()
    for conflict in conflicts:
        loser, winner = history.of(conflict.loser), history.of(conflict.winner)
        if loser.key != held.key:
            continue
        if loser.number in line_of(winner) or winner.number in line_of(loser):
            yield "false_conflict", f"{loser} / {winner}"
        named |= line_of(winner if loser.number in line else loser)
    for one in written:
        acked = history.acked.get(one.op.number) is one
        if acked and one.number not in line and one.number not in named:
            yield "unrecorded", f"{one} lost to {held}"
            return


def _effects(history: History) -> Iterator[tuple[str, str]]:
    for effects in history.effects.values():
        again = [later for earlier, later in pairwise(effects) if not _may_repeat(earlier, later)]
        if again:
            yield "double_effect", " and ".join(map(str, effects))


def _may_repeat(earlier: Written, later: Written) -> bool:
    """Legacy keeps no outcome (data-rules section 4): what was lost there is done at least once, unless it named a version, or
    made a row that is still there."""
    if earlier.side is not Side.LEGACY:
        return False
    if later.op.kind == "create":
        return any(parent.deleted for parent in later.parents)
    return not later.op.if_match


def _order(history: History) -> Iterator[tuple[str, str]]:
    for earlier, later in history.order:
        built_on = [parent.version.pair for parent in later.parents]
        builds = earlier.number in line_of(later)
        if not builds and not any(pair >= earlier.version.pair for pair in built_on):
            yield "own_writes", f"{later} does not build on {earlier}"
            return
