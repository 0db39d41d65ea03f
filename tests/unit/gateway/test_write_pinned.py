"""Where a pinned user's next write goes: a row's own last write decides before the user's last one."""

import pytest

from catalog.stage import Side, Stage
from gateway.caller import Caller
from gateway.facts import Facts
from gateway.pins import Pins
from gateway.repeat_store import Kept
from gateway.user import User
from gateway.write import Asked, Deadlines, Place, Sides, Writing
from gateway.written_row import WrittenRow
from routes import resources
from runtime.correlation import ordered_uuid7
from runtime.flagset import first_flag_set
from runtime.flagsnapshot import Snapshot
from runtime.identity import Identity
from runtime.intent import Closed, Intent
from tests.fakes.clock import Clock
from tests.fakes.memory_repeats import MemoryRepeats

pytestmark = pytest.mark.unit

STOCK = next(one for one in resources() if one.entity == "partner_stock_levels")
SNAPSHOT = Snapshot(first_flag_set(Stage.LIVE))


class Heard:
    """An announcer to whom one can always speak."""

    async def announce(self, intent: Intent) -> None:
        """It is there."""

    async def close(self, intent: Intent, closed: Closed) -> None:
        """It is there."""


class Gateway:
    """Its users write `sku` after `sku`; `took` says which side was sent each."""

    def __init__(self) -> None:
        self.took: list[tuple[str, Side]] = []
        self.writing = Writing(
            announcer=Heard(),  # type: ignore[arg-type]
            pins=Pins(),
            repeats=MemoryRepeats(Clock()),
            record_key=b"k",
            deadlines=Deadlines(write=1, statement=1),
            count=lambda entity, authority, outcome: None,
        )

    async def write(self, sku: str, stage: Stage) -> None:
        key = ("p", "s", sku)

        async def by_legacy() -> WrittenRow:
            self.took.append((sku, Side.LEGACY))
            return WrittenRow(status=200, body=b"", etag="", key=key)

        async def by_service(epoch: int) -> WrittenRow | Kept:
            self.took.append((sku, Side.SERVICE))
            return WrittenRow(status=200, body=b"", etag="", key=key)

        asked = Asked(
            resource=STOCK,
            key=key,
            place=Place(stage=stage, scope=""),
            repeat=None,
            sides=Sides(legacy=by_legacy, service=by_service),
        )
        caller = Caller(user=User(Identity(sub="u"), b""), correlation_id="c")
        await self.writing.write(asked, caller, SNAPSHOT, Facts("c", False, "PATCH", ""))


async def test_the_rows_own_write_decides_before_the_users_last_one():
    gateway = Gateway()
    await gateway.write("a", Stage.LIVE)
    # As another process, or a repeat, has written meanwhile: at the other side.
    stray = Intent(
        id=ordered_uuid7(),
        entity=STOCK.entity,
        key=("p", "s", "b"),
        authority=Side.LEGACY,
        scope="",
        user=gateway.writing.user_tag("u"),
        epoch=1,
        correlation_id="c",
        grace_seconds=1,
    )
    gateway.writing.pins.hear(stray)
    await gateway.write("a", Stage.DUAL_WRITE)
    await gateway.write("c", Stage.LIVE)
    assert gateway.took == [("a", Side.SERVICE), ("a", Side.SERVICE), ("c", Side.SERVICE)]


async def test_a_row_of_which_nothing_is_pinned_follows_the_users_last_write():
    gateway = Gateway()
    await gateway.write("a", Stage.LIVE)
    await gateway.write("b", Stage.DUAL_WRITE)
    assert gateway.took == [("a", Side.SERVICE), ("b", Side.SERVICE)]
