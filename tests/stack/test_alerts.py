"""Alerts over real PostgreSQL: one row for one thing, and who is on it."""

import asyncio
import json
import math
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.metrics import Metrics
from runtime import tasks
from runtime.alertbell import AGAIN_SECONDS, EVERY_SECONDS, AlertBell
from runtime.alertclass import (
    CLASSES,
    CONFLICT,
    DIVERGENCE,
    QUARANTINE,
    SERVICE_KEY_REFUSED,
    AlertClass,
)
from runtime.alertdesk import AlertDesk, EndsByItself
from runtime.alertgauge import AlertGauge
from runtime.alerts import Alerts, State
from runtime.auditchain import AuditChain
from runtime.control_database import migrate_control
from runtime.flagstore import StoreUnavailable
from runtime.postgres import create_pool
from runtime.tagger import Tagger
from tests.fakes.clock import Clock
from tests.fakes.keys import keyring
from tests.until import until_async

pytestmark = pytest.mark.stack

TAGGER = Tagger(keyring("e1"))
ROW, OTHER = (TAGGER.tag("lab_orders", "id", text) for text in ("17", "18"))


@pytest.fixture
async def pool(empty_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate_control(empty_dsn)
    pool = await create_pool(empty_dsn, name="test", size=8)
    yield pool
    await pool.close()


@pytest.fixture
def alerts(pool: asyncpg.Pool) -> Alerts:
    return Alerts(pool)


@pytest.fixture
def desk(pool: asyncpg.Pool) -> AlertDesk:
    return AlertDesk(pool, AuditChain(keyring("a1"), writer="control"))


async def test_a_repeat_counts_up(alerts: Alerts) -> None:
    first = await alerts.ring(
        DIVERGENCE, entity="lab_orders", subject=ROW, detail="content_differs"
    )
    again = await alerts.ring(
        DIVERGENCE, entity="lab_orders", subject=ROW, detail="version_differs"
    )
    assert (first.count, first.state, first.follows) == (1, State.OPEN, None)
    assert (first.subject, first.runbook) == (str(ROW), "docs/playbook.md#divergence")
    assert (again.id, again.count, again.detail) == (first.id, 2, "version_differs")
    assert again.first_seen == first.first_seen
    assert again.last_seen > first.last_seen
    assert await alerts.page() == [again]


@pytest.mark.parametrize(
    "other",
    [(CONFLICT, "lab_orders", ROW), (DIVERGENCE, "submissions", ROW),
     (DIVERGENCE, "lab_orders", OTHER), (DIVERGENCE, "lab_orders", None)],
)  # fmt: skip
async def test_another_thing_is_another_row(alerts: Alerts, other) -> None:
    one = await alerts.ring(DIVERGENCE, entity="lab_orders", subject=ROW)
    alert_class, entity, subject = other
    two = await alerts.ring(alert_class, entity=entity, subject=subject)
    assert (one.id, two.count) != (two.id, 2)
    assert await alerts.page() == [two, one]
    assert await alerts.resolve(alert_class, entity=entity, subject=subject)
    assert [alert.id for alert in await alerts.page()] == [one.id]


async def test_ringing_at_once_is_one_row(alerts: Alerts) -> None:
    rung = await asyncio.gather(*(alerts.ring(DIVERGENCE, entity="lab_orders") for _ in range(40)))
    assert len({alert.id for alert in rung}) == 1
    assert sorted(alert.count for alert in rung) == list(range(1, 41))


async def test_what_comes_back_is_a_new_row_that_names_the_old_one(alerts: Alerts) -> None:
    assert await alerts.resolve(DIVERGENCE, entity="lab_orders") is None
    first = await alerts.ring(DIVERGENCE, entity="lab_orders")
    over = await alerts.resolve(DIVERGENCE, entity="lab_orders")
    assert over is not None
    assert (over.id, over.state) == (first.id, State.RESOLVED)
    assert over.resolved_at is not None
    assert await alerts.resolve(DIVERGENCE, entity="lab_orders") is None
    second = await alerts.ring(DIVERGENCE, entity="lab_orders")
    assert (second.follows, second.count, second.state) == (first.id, 1, State.OPEN)
    await alerts.resolve(DIVERGENCE, entity="lab_orders")
    third = await alerts.ring(DIVERGENCE, entity="lab_orders")
    assert third.follows == second.id
    assert [alert.id for alert in await alerts.page()] == [third.id]
    ids = [alert.id for alert in await alerts.page(resolved=True)]
    assert ids == sorted({first.id, second.id, third.id}, reverse=True)


async def test_somebody_is_on_it(alerts: Alerts, desk: AlertDesk) -> None:
    rung = await alerts.ring(QUARANTINE, entity="lab_orders")
    taken = await desk.acknowledge(rung.id, by="olga")
    assert taken is not None
    assert (taken.state, taken.acknowledged_by) == (State.ACKNOWLEDGED, "olga")
    again = await desk.acknowledge(rung.id, by="anna")
    assert again == taken, "who said so first stays"
    seen = await alerts.ring(QUARANTINE, entity="lab_orders")
    assert (seen.id, seen.state, seen.count) == (rung.id, State.ACKNOWLEDGED, 2)
    await alerts.resolve(QUARANTINE, entity="lab_orders")
    assert await desk.acknowledge(rung.id, by="anna") is None
    assert await desk.acknowledge(999, by="anna") is None
    [over] = await alerts.page(resolved=True)
    assert (over.state, over.acknowledged_by) == (State.RESOLVED, "olga")


async def test_what_only_a_person_can_say_is_over_is_over_by_hand(
    alerts: Alerts, desk: AlertDesk, pool: asyncpg.Pool
) -> None:
    rung = await alerts.ring(CONFLICT, entity="lab_orders", detail="lost_on_legacy")
    over = await desk.resolve(rung.id, by="olga", reason="the owner has it")
    assert over is not None
    assert (over.id, over.state) == (rung.id, State.RESOLVED)
    assert await desk.resolve(rung.id, by="olga", reason="again") is None
    assert (await alerts.ring(CONFLICT, entity="lab_orders")).follows == rung.id
    standing = await alerts.ring(DIVERGENCE, entity="lab_orders")
    with pytest.raises(EndsByItself):
        await desk.resolve(standing.id, by="olga", reason="x")
    rows = await pool.fetch("select action, actor, reason, subject from control.audit")
    assert [(r["action"], r["actor"], r["reason"], json.loads(r["subject"])) for r in rows] == [
        (
            "alerts.resolve",
            "olga",
            "the owner has it",
            {"alert": rung.id, "class": "conflict", "entity": "lab_orders"},
        )
    ]


async def test_what_cannot_be_told_of_an_alert_is_not_done(
    alerts: Alerts, desk: AlertDesk, pool: asyncpg.Pool
) -> None:
    rung = await alerts.ring(CONFLICT, entity="lab_orders")
    await pool.execute("alter table control.audit rename to gone")
    for act in (desk.acknowledge(rung.id, by="olga"), desk.resolve(rung.id, by="o", reason="")):
        with pytest.raises(StoreUnavailable):
            await act
    assert [alert.state for alert in await alerts.page()] == [State.OPEN]


class Minute:
    """Sleeps as long as the test lets it."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self.over.wait()
        self.over.clear()


async def test_a_bell_rings_once_a_minute_however_often_it_is_pulled(
    alerts: Alerts, pool: asyncpg.Pool
) -> None:
    minute = Minute()
    bell = AlertBell(SERVICE_KEY_REFUSED, detail="gateway", sleep=minute)
    keeper = tasks.spawn(bell.keep(alerts), name="bell")

    async def rung(times: int) -> bool:
        return [alert.count for alert in await alerts.page()] == [times]

    await asyncio.sleep(0)
    assert await alerts.page() == []
    for _ in range(3):
        bell.pull()
    await until_async(lambda: rung(1))
    for _ in range(50):
        bell.pull()
    await until_async(lambda: _is(minute.asked, [EVERY_SECONDS]))
    assert await rung(1), "the minute is not over"
    minute.over.set()
    await until_async(lambda: rung(2))
    await until_async(lambda: _is(minute.asked, [EVERY_SECONDS] * 2))
    # What the database does not take is not forgotten.
    await pool.execute("alter table control.alerts rename to gone")
    bell.pull()
    minute.over.set()
    await until_async(lambda: _is(minute.asked, [EVERY_SECONDS] * 2 + [AGAIN_SECONDS]))
    await pool.execute("alter table control.gone rename to alerts")
    minute.over.set()
    await until_async(lambda: rung(3))
    await tasks.stop(keeper)


async def _is(found: list[float], expected: list[float]) -> bool:
    return found == expected


@pytest.mark.parametrize("detail", ["Zoe Nunez", "lost_on_legacy", "DETAIL: Key (id)=(17)"])
async def test_only_the_classes_own_words_get_in(alerts: Alerts, detail: str) -> None:
    with pytest.raises(ValueError, match="no such detail") as refused:
        await alerts.ring(DIVERGENCE, entity="lab_orders", detail=detail)
    assert detail not in str(refused.value)
    assert await alerts.page() == []


@pytest.mark.parametrize(
    ("column", "value"),
    [("entity", "Zoe Nunez"), ("subject", "17"), ("detail", "Zoe Nunez"), ("class", "Zoe Nunez")],
)
async def test_the_table_takes_no_values_either(
    pool: asyncpg.Pool, column: str, value: str
) -> None:
    row = {"class": "conflict", "entity": "", "subject": "", "detail": "", column: value}
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(
            "insert into control.alerts (class, entity, subject, detail, runbook) values ($1, $2, $3, $4, '')",
            *row.values(),
        )


async def test_pages(alerts: Alerts) -> None:
    ids = [(await alerts.ring(CONFLICT, entity=entity)).id for entity in ("a", "b", "c")]
    assert [alert.id for alert in await alerts.page(limit=2)] == [ids[2], ids[1]]
    assert [alert.id for alert in await alerts.page(before=ids[1])] == [ids[0]]


async def test_the_gauge_counts_what_is_not_over(alerts: Alerts, desk: AlertDesk) -> None:
    clock = Clock()
    gauge = AlertGauge(alerts, clock=clock)
    metrics = Metrics()
    for name in CLASSES:
        metrics.watch(gauge.name, gauge.help, gauge.of(name), {"class": name}, across=max)
    read = gauge.of("conflict")
    assert math.isnan(read()), "never heard is not zero"
    rung = await alerts.ring(CONFLICT, entity="a")
    await desk.acknowledge(rung.id, by="olga")
    await alerts.ring(CONFLICT, entity="b")
    await alerts.ring(CONFLICT, entity="c")
    await alerts.resolve(CONFLICT, entity="c")
    keeper = tasks.spawn(gauge.keep(every=0.02), name="keeper")

    async def counted() -> bool:
        return read() == 2

    await until_async(counted)
    await tasks.stop(keeper)
    page = metrics.exposition().decode()
    assert 'banyan_alerts{class="conflict"} 2.0' in page
    assert 'banyan_alerts{class="divergence"} 0.0' in page
    clock.now = 61
    assert math.isnan(read()), "neither is not heard for long"


async def test_without_the_database_it_says_so(
    alerts: Alerts, desk: AlertDesk, pool: asyncpg.Pool
) -> None:
    await pool.execute("alter table control.alerts rename to gone")
    unknown = AlertClass(name="x", severity=CONFLICT.severity, summary="", details=frozenset())
    for work in (
        lambda: alerts.ring(unknown),
        lambda: alerts.resolve(unknown),
        lambda: desk.acknowledge(1, by="olga"),
        lambda: desk.resolve(1, by="olga", reason=""),
        alerts.page,
        alerts.unresolved,
    ):
        with pytest.raises(StoreUnavailable):
            await work()
