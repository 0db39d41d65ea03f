"""A service's outbox under writers that commit in another order than they began."""

from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from catalog.service import Service
from migration.outbox import PostgresOutbox
from migration.store import Unavailable
from runtime.serviceevent import ServiceEvent
from tests.services_world import ServicesDatabase

pytestmark = pytest.mark.stack

PARTNER = "000000ba-0000-4000-8000-0000000000ff"
NEW = (
    "insert into partner_ops.stock_level (partner_id, site_code, sku, on_hand, reserved, created_at)"
    f" values ('{PARTNER}', 'A', $1, 1, 0, now())"
)


class Heard:
    def __init__(self) -> None:
        self.skus: list[str] = []

    async def __call__(self, events: Sequence[ServiceEvent]) -> None:
        self.skus += [event.key[2] for event in events]


@pytest.fixture
async def pool(own_services: ServicesDatabase) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(own_services.apply, min_size=1, max_size=2) as pool:
        yield pool


async def test_o3_a_lower_id_that_commits_later_still_arrives(
    own_services: ServicesDatabase, pool: asyncpg.Pool
) -> None:
    slow, quick = [await asyncpg.connect(own_services.owner) for _ in range(2)]
    outbox, heard = PostgresOutbox(Service.PARTNER_OPS, pool), Heard()
    async with slow.transaction():
        await slow.execute(NEW, "lower")
        await quick.execute(NEW, "higher")
        # Nobody waits for the one that is under way.
        assert await outbox.hand_over(10, heard) == 1
    ids = await quick.fetch("select key ->> 'sku' from partner_ops.outbox order by id")
    assert [row[0] for row in ids] == ["lower", "higher"]
    assert await outbox.hand_over(10, heard) == 1
    assert heard.skus == ["higher", "lower"]
    for user in (slow, quick):
        await user.close()


async def test_o1_a_relay_whose_connection_dies_lets_go(
    own_services: ServicesDatabase, pool: asyncpg.Pool
) -> None:
    user = await asyncpg.connect(own_services.cluster.dsn(own_services.database))
    await user.execute(NEW, "x")
    outbox, heard = PostgresOutbox(Service.PARTNER_OPS, pool), Heard()

    async def killed(events: Sequence[ServiceEvent]) -> None:
        await heard(events)
        await user.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'banyan_apply' and datname = current_database()"
        )

    with pytest.raises(Unavailable):
        await outbox.hand_over(10, killed)
    assert await outbox.hand_over(10, heard) == 1
    assert heard.skus == ["x", "x"], "at least once"
    await user.close()


async def test_a_relay_may_touch_nothing_else_of_an_event(pool: asyncpg.Pool) -> None:
    for statement in (
        "update partner_ops.outbox set updated_at = now()",
        "insert into partner_ops.outbox (event_type, entity, key, updated_at, origin, row_version)"
        " values ('t', 'e', '{}', now(), 'service', 1)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


async def test_a_database_that_is_away_is_unavailable(pool: asyncpg.Pool) -> None:
    await pool.close()
    with pytest.raises(Unavailable):
        await PostgresOutbox(Service.PARTNER_OPS, pool).hand_over(1, Heard())
