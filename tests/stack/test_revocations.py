"""Revocations over real PostgreSQL and Valkey: what is stored, what the processes hear and when, and what a dead store changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from benchmarks.own_valkey import OwnValkey, own_valkey
from runtime import tasks
from runtime.auditchain import AuditChain
from runtime.control_database import migrate_control
from runtime.documentfeed import Source
from runtime.flagstore import StoreUnavailable
from runtime.postgres import create_pool
from runtime.published import keep_published
from runtime.revocationfeed import RevocationFeed
from runtime.revocations import Kind
from runtime.revocationstore import LONGEST_SESSION, PLACE, ListFull, RevocationStore
from tests.fakes.keys import keyring
from tests.patient import patient
from tests.until import until_async

pytestmark = pytest.mark.stack

USER = "0f0f0f0f-0000-4000-8000-000000000001"
NEVER = 3600.0


@asynccontextmanager
async def opened(dsn: str, redis_url: str) -> AsyncIterator[RevocationStore]:
    await migrate_control(dsn)
    pool = await create_pool(dsn, name="test", size=3)
    client = patient(redis_url)
    try:
        yield RevocationStore(pool, client, AuditChain(keyring("a1"), writer="control"))
    finally:
        await client.aclose()
        await pool.close()


@pytest.fixture
async def store(empty_dsn: str, redis_url: str) -> AsyncIterator[RevocationStore]:
    client = patient(redis_url)
    await client.flushall()
    await client.aclose()
    async with opened(empty_dsn, redis_url) as store:
        yield store


@asynccontextmanager
async def feeding(url: str, folder: Path, *, poll: float = NEVER) -> AsyncIterator[RevocationFeed]:
    feed = RevocationFeed(
        redis_url=url, snapshot_file=folder / "revocations.json", poll_seconds=poll
    )
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


async def version_is(feed: RevocationFeed, version: int) -> None:
    async def has() -> bool:
        return feed.current.version == version

    await until_async(has)


async def test_a_user_is_revoked_until_it_is_lifted(store: RevocationStore) -> None:
    made = await store.revoke(Kind.SUB, USER, reason="stolen laptop", actor="olga")
    assert (made.version, made.changed, made.published) == (1, True, True)
    assert (made.revocation.kind, made.revocation.value) == (Kind.SUB, USER)
    assert (made.revocation.reason, made.revocation.actor) == ("stolen laptop", "olga")
    assert made.revocation.ends_at is None
    assert await store.in_force() == [made.revocation]
    lifted = await store.lift(made.revocation.id, reason="found", actor="anna")
    assert lifted is not None
    assert (lifted.version, lifted.changed) == (2, True)
    assert await store.in_force() == []
    assert await store.lift(made.revocation.id, reason="again", actor="anna") is None
    assert await store.lift(999, reason="never was", actor="anna") is None


@pytest.mark.parametrize("kind", [Kind.SESSION, Kind.JTI])
async def test_sessions_and_tokens_end_when_no_token_can_live_any_more(
    store: RevocationStore, kind: Kind
) -> None:
    made = await store.revoke(kind, "s-1", reason="", actor="olga")
    assert made.revocation.ends_at is not None
    assert made.revocation.ends_at - made.revocation.made_at == LONGEST_SESSION
    assert made.revocation.ends_at - datetime.now(UTC) > timedelta(hours=24)


async def test_twice_is_once(store: RevocationStore) -> None:
    first = await store.revoke(Kind.SUB, USER, reason="a", actor="olga")
    second = await store.revoke(Kind.SUB, USER, reason="b", actor="anna")
    assert (second.version, second.changed, second.revocation) == (1, False, first.revocation)
    other = await store.revoke(Kind.SESSION, USER, reason="", actor="olga")
    assert (other.version, other.changed) == (2, True)
    assert [entry.id for entry in await store.in_force()] == [
        other.revocation.id,
        first.revocation.id,
    ]


async def test_what_has_ended_is_left_out_and_may_be_revoked_again(
    store: RevocationStore, empty_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    await store.revoke(Kind.SESSION, "s-1", reason="", actor="olga")
    owner = await asyncpg.connect(empty_dsn)
    await owner.execute("update control.revocations set ends_at = now()")
    await owner.close()
    assert await store.in_force() == []
    await store.revoke(Kind.SESSION, "s-2", reason="", actor="olga")
    async with feeding(redis_url, tmp_path) as feed:
        assert feed.current.sessions == {"s-2"}
    again = await store.revoke(Kind.SESSION, "s-1", reason="", actor="olga")
    assert again.changed


async def test_a_full_list_takes_no_more(store: RevocationStore, monkeypatch) -> None:
    monkeypatch.setattr("runtime.revocationstore.MOST", 2)
    for number in range(2):
        await store.revoke(Kind.JTI, str(number), reason="", actor="olga")
    with pytest.raises(ListFull):
        await store.revoke(Kind.JTI, "2", reason="", actor="olga")
    assert not (await store.revoke(Kind.JTI, "1", reason="", actor="olga")).changed
    assert len(await store.in_force()) == 2


async def test_processes_hear_of_it_without_a_poll(
    store: RevocationStore, redis_url: str, tmp_path: Path
) -> None:
    async with feeding(redis_url, tmp_path) as feed:

        async def listens() -> bool:
            client = patient(redis_url)
            [(_, count)] = await client.pubsub_numsub(PLACE.channel)
            await client.aclose()
            return bool(count)

        await until_async(listens)
        made = await store.revoke(Kind.SUB, USER, reason="", actor="olga")
        await version_is(feed, 1)
        assert feed.source is Source.PUSH
        assert feed.current.cover(sub=USER, session_id="", jti="")
        await store.lift(made.revocation.id, reason="", actor="olga")
        await version_is(feed, 2)
        assert not feed.current.cover(sub=USER, session_id="", jti="")


@pytest.fixture
def valkey(tmp_path: Path):
    with own_valkey(tmp_path / "valkey") as started:
        yield started


async def test_while_redis_is_dead_it_is_stored_and_follows_when_redis_is_back(
    empty_dsn: str, valkey: OwnValkey, tmp_path: Path
) -> None:
    async with (
        opened(empty_dsn, valkey.url) as store,
        feeding(valkey.url, tmp_path, poll=0.1) as feed,
    ):
        await store.revoke(Kind.SUB, "before", reason="", actor="olga")
        await version_is(feed, 1)
        valkey.kill()
        made = await store.revoke(Kind.SUB, USER, reason="", actor="olga")
        assert (made.version, made.changed, made.published) == (2, True, False)
        assert feed.current.subs == {"before"}, "the last list holds"
        keeper = tasks.spawn(keep_published(store), name="keeper")
        valkey.start()
        await version_is(feed, 2)
        assert feed.current.subs == {"before", USER}
        await tasks.stop(keeper)


async def test_an_emptied_redis_is_told_again(
    store: RevocationStore, redis_url: str, tmp_path: Path
) -> None:
    await store.revoke(Kind.SUB, USER, reason="", actor="olga")
    client = patient(redis_url)
    await client.flushall()
    await client.aclose()
    assert await store.republish()
    assert not await store.republish()
    async with feeding(redis_url, tmp_path) as feed:
        assert feed.current.subs == {USER}


async def test_the_empty_list_is_published_too(
    store: RevocationStore, redis_url: str, tmp_path: Path
) -> None:
    """So that a process can tell "nobody" from "never heard"."""
    assert await store.republish()
    async with feeding(redis_url, tmp_path) as feed:
        assert (feed.source, feed.current.version) == (Source.POLL, 0)
        assert feed.current.store


async def test_without_the_database_nothing_is_changed_and_that_is_told(redis_url: str) -> None:
    pool = await asyncpg.create_pool("postgresql://127.0.0.1:1/none", min_size=0)
    client = patient(redis_url)
    store = RevocationStore(pool, client, AuditChain(keyring("a1"), writer="control"))
    for work in (
        lambda: store.revoke(Kind.SUB, USER, reason="", actor="olga"),
        lambda: store.lift(1, reason="", actor="olga"),
        store.in_force,
        store.republish,
    ):
        with pytest.raises(StoreUnavailable):
            await work()
    await client.aclose()
    await pool.close()
