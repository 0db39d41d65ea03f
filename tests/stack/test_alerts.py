"""Alerts over real PostgreSQL: one row for one thing, and who is on it."""

import asyncio
import math
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.metrics import Metrics
from runtime import tasks
from runtime.alertclass import CLASSES, CONFLICT, DIVERGENCE, QUARANTINE, AlertClass
from runtime.alertgauge import AlertGauge
from runtime.alerts import Alerts, State
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


async def test_somebody_is_on_it(alerts: Alerts) -> None:
    rung = await alerts.ring(QUARANTINE, entity="lab_orders")
    taken = await alerts.acknowledge(rung.id, by="olga")
    assert taken is not None
    assert (taken.state, taken.acknowledged_by) == (State.ACKNOWLEDGED, "olga")
    again = await alerts.acknowledge(rung.id, by="anna")
    assert again == taken, "who said so first stays"
    seen = await alerts.ring(QUARANTINE, entity="lab_orders")
    assert (seen.id, seen.state, seen.count) == (rung.id, State.ACKNOWLEDGED, 2)
    await alerts.resolve(QUARANTINE, entity="lab_orders")
    assert await alerts.acknowledge(rung.id, by="anna") is None
    assert await alerts.acknowledge(999, by="anna") is None
    [over] = await alerts.page(resolved=True)
    assert (over.state, over.acknowledged_by) == (State.RESOLVED, "olga")


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


async def test_the_gauge_counts_what_is_not_over(alerts: Alerts) -> None:
    clock = Clock()
    gauge = AlertGauge(alerts, clock=clock)
    metrics = Metrics()
    for name in CLASSES:
        metrics.watch(gauge.name, gauge.help, gauge.of(name), {"class": name}, across=max)
    read = gauge.of("conflict")
    assert math.isnan(read()), "never heard is not zero"
    rung = await alerts.ring(CONFLICT, entity="a")
    await alerts.acknowledge(rung.id, by="olga")
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


async def test_without_the_database_it_says_so(alerts: Alerts, pool: asyncpg.Pool) -> None:
    await pool.execute("alter table control.alerts rename to gone")
    unknown = AlertClass(name="x", severity=CONFLICT.severity, summary="", details=frozenset())
    for work in (
        lambda: alerts.ring(unknown),
        lambda: alerts.resolve(unknown),
        lambda: alerts.acknowledge(1, by="olga"),
        alerts.page,
        alerts.unresolved,
    ):
        with pytest.raises(StoreUnavailable):
            await work()
