"""Nothing of a write is sent when the worker may have looked at its row for the last time; time is virtual."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from catalog.stage import Stage
from gateway.caller import Caller
from gateway.facts import Facts
from gateway.pins import Pins
from gateway.user import User
from gateway.write import Asked, Deadlines, Place, Sides, Writing
from gateway.written_row import WriteFailed, WrittenRow
from routes import resources
from runtime.flagset import first_flag_set
from runtime.flagsnapshot import Snapshot
from runtime.identity import Identity
from runtime.intent import Closed, Intent, Outcome
from tests.fakes.clock import Clock
from tests.fakes.memory_repeats import MemoryRepeats
from tests.simulation import clock

pytestmark = pytest.mark.unit

STOCK = next(one for one in resources() if one.entity == "partner_stock_levels")
SNAPSHOT = Snapshot(first_flag_set(Stage.LIVE))
KEY = ("p", "s", "a")
WRITE, STATEMENT = 10.0, 8.0


class Announcer:
    """Takes so long for an intent."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.intents: list[Intent] = []
        self.closed: list[Closed] = []

    async def announce(self, intent: Intent) -> None:
        self.intents.append(intent)
        await asyncio.sleep(self._seconds)

    async def close(self, intent: Intent, closed: Closed) -> None:
        self.closed.append(closed)


async def write(
    announcer: Announcer, legacy: Callable[[], Awaitable[WrittenRow]], seconds: float | None = None
) -> None:
    writing = Writing(
        announcer=announcer,  # type: ignore[arg-type]
        pins=Pins(),
        repeats=MemoryRepeats(Clock()),
        record_key=b"k",
        deadlines=Deadlines(write=WRITE, statement=STATEMENT),
        count=lambda entity, authority, outcome: None,
    )
    asked = Asked(
        resource=STOCK,
        key=KEY,
        place=Place(stage=Stage.DUAL_WRITE, scope=""),
        repeat=None,
        sides=Sides(legacy=legacy, service=lambda epoch: legacy()),
        seconds=seconds,
    )
    caller = Caller(user=User(Identity(sub="u"), b""), correlation_id="c")
    try:
        await writing.write(asked, caller, SNAPSHOT, Facts("c", False, "PATCH", ""))
    finally:
        await writing.drain()


def in_several_requests(sent: list[float], *, each: float) -> Callable[[], Awaitable[WrittenRow]]:
    """A read, and the write behind it, as on legacy."""

    async def legacy() -> WrittenRow:
        for _ in range(2):
            sent.append(asyncio.get_running_loop().time())
            await asyncio.sleep(each)
        return WrittenRow(status=200, body=b"", etag="", key=KEY)

    return legacy


@pytest.mark.parametrize(
    ("announced_in", "each", "requests", "outcome"),
    [
        (0.0, 4.0, 2, Outcome.APPLIED),
        (4.0, 4.0, 2, Outcome.UNKNOWN),
        (0.0, 9.0, 2, Outcome.UNKNOWN),
        (0.0, 11.0, 1, Outcome.UNKNOWN),
        (11.0, 1.0, 0, Outcome.NOT_APPLIED),
    ],
)
def test_what_comes_too_late_is_not_sent(
    announced_in: float, each: float, requests: int, outcome: Outcome
) -> None:
    announcer, sent = Announcer(announced_in), list[float]()

    async def attempt() -> None:
        legacy = in_several_requests(sent, each=each)
        if outcome is Outcome.APPLIED:
            await write(announcer, legacy)
            return
        with pytest.raises(WriteFailed) as failed:
            await write(announcer, legacy)
        assert failed.value.outcome is outcome

    clock.run(attempt())
    (intent,), (closed,) = announcer.intents, announcer.closed
    assert (len(sent), closed.outcome) == (requests, outcome)
    # The worker looks once more when its grace has passed and the statement must have ended.
    assert all(at + STATEMENT <= intent.grace_seconds for at in sent)


def test_a_file_may_take_its_time() -> None:
    announcer, sent = Announcer(0), list[float]()
    clock.run(write(announcer, in_several_requests(sent, each=100.0), seconds=600.0))
    assert announcer.closed[0].outcome is Outcome.APPLIED
    assert announcer.intents[0].grace_seconds >= 600.0 + STATEMENT
