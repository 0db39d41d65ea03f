"""What every `Store` promises (migration/store.py): one suite over legacy, the services and the one in memory."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from catalog import assets
from catalog.service import Service
from catalog.stage import Side
from migration.guard import Verdict
from migration.postgres_store import legacy_store, service_store
from migration.store import Answer, Change, Held, Store
from migration.version import Version
from routes.key import Key
from tests.fakes.memory_store import MemoryStore

pytestmark = pytest.mark.contract

PAYOUTS = assets()["partner_payouts"]
STOCK = assets()["partner_stock_levels"]
LOGS = assets()["partner_temperature_logs"]
PARTNER = "000000ba-0000-4000-8000-0000000000ff"
CREATED = "2026-01-01T00:00:00+00:00"
FAR = timedelta(hours=1)
APPLIED, SAME, STALE = (Answer(verdict=v) for v in (Verdict.APPLIED, Verdict.SAME, Verdict.STALE))
TAKEN = Answer(verdict=Verdict.ERROR, code="23505")
UNIQUES = {
    "partner_payouts": [["remittance_reference"], ["partner_id", "period_start", "period_end"]],
    "partner_temperature_logs": [["device_id", "measured_at"]],
}


@dataclass(frozen=True, kw_only=True)
class Place:
    store: Store
    raise_epoch: Callable[[int], Awaitable[None]]
    """Of payouts."""
    submission: str = str(UUID(int=1))
    """One that there is."""

    @property
    def side(self) -> Side:
        return self.store.side


@pytest.fixture(
    params=[
        pytest.param((side, fixture), id=f"{side}-{kind}", marks=marks)
        for side, own in ((Side.LEGACY, "legacy"), (Side.SERVICE, "own_services"))
        for kind, fixture, marks in (("memory", "", ()), ("postgresql", own, pytest.mark.stack))
    ]
)
def where(request: pytest.FixtureRequest) -> tuple[Side, Any]:
    """The side and its database. Not a coroutine: databases are made without an event loop."""
    side, fixture = request.param
    return side, request.getfixturevalue(fixture) if fixture else None


@pytest.fixture
async def place(where: tuple[Side, Any]) -> AsyncIterator[Place]:
    side, database = where
    if database is None:
        memory = MemoryStore(side, clock=lambda: datetime.now(UTC), uniques=UNIQUES)

        async def remember(epoch: int) -> None:
            memory.epochs["partner_payouts"] = epoch

        yield Place(store=memory, raise_epoch=remember)
        return

    async def switch(epoch: int) -> None:
        schema = "banyan" if side is Side.LEGACY else "finance"
        connection = await asyncpg.connect(database.owner)
        await connection.execute(
            f"select {schema}.set_write_mode('partner_payouts', 'read_write', $1, 'test', 'test')",
            epoch,
        )
        await connection.close()

    dsn = database.worker if side is Side.LEGACY else database.apply
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        services = service_store(dict.fromkeys(Service, pool))
        store = legacy_store(pool) if side is Side.LEGACY else services
        table = "public.submissions" if side is Side.LEGACY else "intake.submission"
        there = str(await pool.fetchval(f"select id from {table} limit 1"))
        yield Place(store=store, raise_epoch=switch, submission=there)


def key(n: int) -> Key:
    return (str(UUID(int=n)),)


def version(
    seconds: float = 0, *, origin: Side = Side.LEGACY, seen: datetime | None = None
) -> Version:
    """Of `seconds` from now."""
    return Version(
        updated_at=datetime.now(UTC) + timedelta(seconds=seconds),
        origin=origin,
        row_version=3,
        correlation_id="c-1",
        seen_at=seen,
    )


def payout(side: Side, n: int, reference: str | None, gross: str = "12.50") -> str:
    """The row of key `n`, by the names of `side`."""
    day = f"2031-01-{n:02}"
    row: dict[str, Any] = {
        "id": key(n)[0],
        "partner_id": PARTNER,
        "period_start": day,
        "period_end": day,
        "currency": "GBP",
        "status": "failed",
        "remittance_reference": reference,
        "paid_at": None,
        "created_at": CREATED,
    }
    if side is Side.LEGACY:
        row |= {"gross_amount": gross, "fee_amount": "0.10", "details": [], "net_amount": "0"}
    else:
        cents = int(Decimal(gross) * 100)
        row |= {"gross_minor": cents, "fee_minor": 10, "lines": [], "net_minor": 0}
    return json.dumps({**row, "updated_at": CREATED})


async def put(place: Place, *changes: Change, **how: Any) -> Sequence[Answer]:
    return await place.store.apply(PAYOUTS, changes, epoch=None, **how)


async def holds(place: Place, n: int) -> Held:
    return (await place.store.read(PAYOUTS, [key(n)]))[key(n)]


async def test_nothing_is_held_of_an_unknown_key(place: Place) -> None:
    assert await place.store.read(STOCK, [(PARTNER, "A", "no such")]) == {
        (PARTNER, "A", "no such"): Held()
    }


async def test_a_row_is_read_by_the_other_side_s_names_with_its_exact_stamps(place: Place) -> None:
    new = version(-5, seen=datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC))
    change = Change(key=key(1), version=new, content=payout(place.side, 1, "R"))
    assert await put(place, change) == [APPLIED]
    held = await holds(place, 1)
    assert (held.row, held.tombstone, held.refusal) == (new, None, "")
    content: Mapping[str, Any] = json.loads(held.content, parse_float=Decimal)
    if place.side is Side.LEGACY:
        assert (content["gross_minor"], content["lines"]) == (1250, [])
    else:
        assert (Decimal(content["gross_amount"]), content["details"]) == (Decimal("12.5"), [])


async def test_a_delete_is_read_as_tombstone_and_keys_of_several_parts_are_told_apart(
    place: Place,
) -> None:
    keys = [(PARTNER, "A", "x~,"), (PARTNER, "A", 'y"'), (PARTNER, "B", "x~,")]
    versions = [version(-n) for n in range(3)]
    changes = [Change(key=k, version=v) for k, v in zip(keys, versions, strict=True)]
    assert await place.store.apply(STOCK, changes, epoch=None) == [APPLIED] * 3
    assert await place.store.read(STOCK, keys[::-1]) == {
        k: Held(tombstone=v) for k, v in zip(keys, versions, strict=True)
    }


async def test_the_guard_decides_and_tells_conflicts(place: Place) -> None:
    mine = version(-20, origin=place.side)
    theirs = version(-10, origin=place.side.other)
    seen = version(-5, origin=place.side.other, seen=mine.updated_at)

    async def verdict(new: Version, *, deleted: bool = False) -> Answer:
        content = "" if deleted else payout(place.side, 1, None)
        [answer] = await put(place, Change(key=key(1), version=new, content=content))
        return answer

    assert await verdict(mine) == APPLIED
    assert await verdict(mine) == SAME
    assert await verdict(mine, deleted=True) == STALE
    assert await verdict(version(-30)) == STALE
    assert (await verdict(version(3600))).verdict is Verdict.PARKED
    assert await verdict(theirs) == Answer(verdict=Verdict.APPLIED, conflict=True)
    assert await verdict(seen, deleted=True) == APPLIED
    assert await holds(place, 1) == Held(tombstone=seen)


async def test_who_is_out_of_date_is_fenced(place: Place) -> None:
    change = Change(key=key(1), version=version(), content=payout(place.side, 1, None))
    await place.raise_epoch(5)
    assert await place.store.epoch(PAYOUTS) == 5
    assert [
        (await place.store.apply(PAYOUTS, [change], epoch=epoch))[0].verdict
        for epoch in (4, 5, None)
    ] == [Verdict.FENCED, Verdict.APPLIED, Verdict.SAME]


async def test_an_append_only_row_never_changes(place: Place) -> None:
    excursion = "excursion" if place.side is Side.LEGACY else "is_excursion"
    row = {
        **{"id": 9_000_001, "partner_id": PARTNER, "site_code": "A", "device_id": "D"},
        **{"measured_at": CREATED, "temperature_c": 4.1, excursion: False},
        **{"humidity_pct": None, "battery_mv": None, "raw": None, "created_at": CREATED},
    }

    async def append(**change: Any) -> Verdict:
        new = Change(key=("9000001",), version=version(), content=json.dumps({**row, **change}))
        return (await place.store.apply(LOGS, [new], epoch=None))[0].verdict

    found = [await append(), await append(), await append(site_code="B")]
    assert found == [Verdict.APPLIED, Verdict.SAME, Verdict.DIFFERS]
    gone = Change(key=("9000001",), version=version())
    [answer] = await place.store.apply(LOGS, [gone], epoch=None)
    assert answer.verdict is Verdict.ERROR
    held = (await place.store.read(LOGS, [("9000001",)]))[("9000001",)]
    assert json.loads(held.content)["site_code"] == "A"


async def test_a_value_that_another_row_holds_is_refused_alone_and_the_holder_found(
    place: Place,
) -> None:
    first, second, third = (
        Change(key=key(n), version=version(-9), content=payout(place.side, n, reference))
        for n, reference in ((1, "R"), (2, "R"), (3, None))
    )
    assert await put(place, first, second, third) == [APPLIED, TAKEN, APPLIED]
    assert await place.store.holders(PAYOUTS, [second, third]) == {key(1)}
    assert (
        await place.store.holders(PAYOUTS, [first, Change(key=key(1), version=version())])
        == frozenset()
    )
    let_go = Change(key=key(1), version=version(), content=payout(place.side, 1, None))
    assert await put(place, let_go, second) == [APPLIED, APPLIED]


async def test_values_change_hands_together_where_the_side_can(place: Place) -> None:
    before = [
        Change(key=key(n), version=version(-9), content=payout(place.side, n, f"R{n}"))
        for n in (1, 2)
    ]
    swap = [
        Change(key=key(n), version=version(), content=payout(place.side, n, f"R{3 - n}"))
        for n in (1, 2)
    ]
    assert await put(place, *before) == [APPLIED, APPLIED]
    assert await put(place, *swap) == [TAKEN, TAKEN]
    if not place.store.changes_hands:
        assert await put(place, *swap, together=True) == [TAKEN, TAKEN]
        return
    half = [swap[0], Change(key=key(3), version=version(), content=payout(place.side, 3, None))]
    assert await put(place, *half, together=True) == [TAKEN, TAKEN]
    assert await holds(place, 3) == Held()
    assert await put(place, *swap, together=True) == [APPLIED, APPLIED]
    assert json.loads((await holds(place, 1)).content)["remittance_reference"] == "R2"


# --- what the mirror asks beside

LABELS = assets()["partner_label_queue"]
ORDERS, EVENTS = assets()["lab_orders"], assets()["lab_order_events"]


async def test_a_numbered_row_is_found_by_its_correlation_id(place: Place) -> None:
    excursion = "excursion" if place.side is Side.LEGACY else "is_excursion"

    def log(n: int) -> Change:
        row = {
            **{"id": 9_000_000 + n, "partner_id": PARTNER, "site_code": "A", "device_id": f"D{n}"},
            **{"measured_at": CREATED, "temperature_c": 4.1, excursion: False},
            **{"humidity_pct": None, "battery_mv": None, "raw": None, "created_at": CREATED},
        }
        stamps = replace(version(), correlation_id=f"c-{n}")
        return Change(key=(str(9_000_000 + n),), version=stamps, content=json.dumps(row))

    await place.store.apply(LOGS, [log(1), log(2)], epoch=None)
    assert await place.store.made_by(LOGS, "c-2") == {("9000002",)}
    assert await place.store.made_by(LOGS, "c-3") == frozenset()


async def test_rows_are_found_by_their_parent(place: Place) -> None:
    names = ("event_type", "kind") if place.side is Side.LEGACY else ("kind", "event_type")
    parent = str(UUID(int=77))
    order: dict[str, Any] = {
        **{"id": parent, "order_number": 99_000_001, "submission_id": place.submission},
        **{"test_code": "X", "priority": 3, "status": "ordered", "currency": "GBP", "tags": []},
        **{"created_at": CREATED, "updated_at": CREATED},
    }
    event: dict[str, Any] = {
        **{"id": 99_000_001, "lab_order_id": parent, names[0]: "created", "actor_type": "user"},
        **{"payload": {}, "occurred_at": CREATED, "created_at": CREATED},
    }
    assert await place.store.children(EVENTS, "lab_orders", [(parent,)]) == {}
    for asset, own, row in ((ORDERS, parent, order), (EVENTS, "99000001", event)):
        change = Change(key=(own,), version=version(), content=json.dumps(row))
        assert await place.store.apply(asset, [change], epoch=None) == [APPLIED]
    assert await place.store.children(EVENTS, "lab_orders", [(parent,), (str(UUID(int=1)),)]) == {
        ("99000001",): (parent,)
    }
