"""Records of repeats in the control database: the contract, keys that rotate, nothing in the clear."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from catalog.stage import Side
from gateway.repeat_store import ControlRepeats, Held, StoreUnavailable
from runtime.control_database import migrate_control
from runtime.repeats import Repeats
from runtime.sealed import Sealer
from tests.contract.repeat_store_contract import ANSWER, REQUEST, RepeatStoreContract
from tests.fakes.keys import keyring

pytestmark = pytest.mark.stack


@pytest.fixture
async def pool(empty_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate_control(empty_dsn)
    async with asyncpg.create_pool(empty_dsn, min_size=1, max_size=5) as found:
        yield found


def repeats(pool: asyncpg.Pool, *key_ids: str) -> ControlRepeats:
    return ControlRepeats(lambda: pool, Repeats(keyring(*key_ids)), Sealer(keyring("f1")))


class TestControlRepeats(RepeatStoreContract):
    @pytest.fixture
    def store(self, pool: asyncpg.Pool) -> ControlRepeats:
        return repeats(pool, "e1")


async def test_a_record_is_found_after_the_keys_were_rotated(pool: asyncpg.Pool) -> None:
    before, after = repeats(pool, "e1"), repeats(pool, "e2", "e1")
    held = await before.begin(REQUEST, Side.LEGACY, "c", lease_seconds=60)
    assert isinstance(held, Held)
    await before.finish(held, ANSWER)
    assert await after.begin(REQUEST, Side.LEGACY, "c", lease_seconds=60) == ANSWER


async def test_nothing_stands_in_the_clear(pool: asyncpg.Pool) -> None:
    store = repeats(pool, "e1")
    held = await store.begin(REQUEST, Side.LEGACY, "c", lease_seconds=60)
    assert isinstance(held, Held)
    await store.finish(held, ANSWER)
    row = await pool.fetchrow("select * from control.idempotency")
    assert row is not None
    shown = repr(dict(row)).encode()
    for word in (b"Ada", b"lab-orders", b"given_name", b"1.legacy"):
        assert word not in shown
    assert row["status"] == 201


async def test_a_dead_database_is_told() -> None:
    pool = asyncpg.create_pool("postgresql://nobody@127.0.0.1:1/x", min_size=0)
    await pool
    with pytest.raises(StoreUnavailable):
        await repeats(pool, "e1").begin(REQUEST, Side.LEGACY, "c", lease_seconds=60)
    await pool.close()
