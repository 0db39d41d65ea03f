"""The durable flag set over real PostgreSQL and Valkey: versions, conditions, approvals, and what Redis is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from benchmarks.own_valkey import own_valkey
from catalog.stage import Stage
from runtime import tasks
from runtime.auditchain import AuditChain
from runtime.control_database import migrate_control
from runtime.flagchange import Change, Ramp, SetOverride, apply
from runtime.flagrule import By, Override
from runtime.flagset import FlagSet, FlagSetInvalid, Scope, first_flag_set
from runtime.flagsnapshot import read_snapshot
from runtime.flagstore import (
    CHANNEL,
    KEY,
    VERSION_KEY,
    ApprovalSpent,
    Changed,
    FlagStore,
    StoreUnavailable,
    VersionMismatch,
)
from runtime.postgres import create_pool
from runtime.published import keep_published, read_mark
from tests.fakes.keys import keyring
from tests.patient import patient
from tests.until import until_async

pytestmark = pytest.mark.stack

LAB = Scope(entity="lab_orders")
FIRST = first_flag_set(Stage.COMPLETE)


def ramp(tenths: int) -> Ramp:
    return Ramp(scope=LAB, stage=Stage.LIVE, tenths=tenths)


@asynccontextmanager
async def opened(dsn: str, redis_url: str) -> AsyncIterator[FlagStore]:
    await migrate_control(dsn)
    pool = await create_pool(dsn, name="test", size=6)
    client = patient(redis_url)
    await client.flushall()
    try:
        yield FlagStore(pool, client, AuditChain(keyring("a1"), writer="control"))
    finally:
        await client.aclose()
        await pool.close()


@pytest.fixture
async def store(empty_dsn, redis_url):
    async with opened(empty_dsn, redis_url) as store:
        await store.found(FIRST)
        yield store


async def change(store: FlagStore, change: Change, **more: object) -> Changed:
    return await store.change(
        lambda flag_set: apply(flag_set, change).flag_set,
        change=change.facts(),
        who="olga",
        reason="because",
        **more,  # type: ignore[arg-type]
    )


async def held(url: str) -> tuple[bytes | None, bytes | None]:
    client = patient(url)
    wire, mark = await client.mget(KEY, VERSION_KEY)
    await client.aclose()
    assert not isinstance(wire, str)
    assert not isinstance(mark, str)
    return wire, mark


async def test_migrations_run_once_even_when_several_start_at_once(empty_dsn):
    ran = await asyncio.gather(*(migrate_control(empty_dsn) for _ in range(3)))
    none, neither, every = sorted(ran, key=len)
    assert (none, neither) == ([], [])
    assert len(every) == len(set(every)) > 0


async def test_the_first_flag_set_is_founded_once(empty_dsn, redis_url):
    async with opened(empty_dsn, redis_url) as store:
        founded = await asyncio.gather(*(store.found(FIRST) for _ in range(4)))
        assert {(f.version, f.store) for f in founded} == {(1, founded[0].store)}
        assert (await store.newest()).flag_set == FIRST
        again = await store.found(first_flag_set(Stage.SHADOW))
        assert (again.version, again.flag_set) == (1, FIRST)
        assert [entry.change["kind"] for entry in await store.history()] == ["first"]


async def test_a_change_is_the_next_version_in_both(store, redis_url):
    made = await change(store, ramp(125))
    assert (made.stored.version, made.changed, made.published) == (2, True, True)
    assert (await store.newest()).flag_set == made.stored.flag_set
    wire, mark = await held(redis_url)
    assert read_mark(mark) == (made.stored.store, 2)
    assert wire is not None
    snapshot = read_snapshot(wire)
    assert (snapshot.version, snapshot.flag_set) == (2, made.stored.flag_set)


async def test_a_change_is_pushed_whole(store, redis_url):
    client = patient(redis_url)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(CHANNEL)
    await pubsub.get_message(timeout=5)
    made = await change(store, ramp(125))
    message = await pubsub.get_message(timeout=5)
    assert message is not None
    assert message["data"] == made.stored.wire
    await pubsub.aclose()  # type: ignore[no-untyped-call]
    await client.aclose()


async def test_a_change_without_effect_is_no_version(store):
    await change(store, ramp(125))
    made = await change(store, ramp(125))
    assert (made.stored.version, made.changed) == (2, False)
    assert len(await store.history()) == 2


async def test_changes_at_the_same_time_lose_nothing(store, redis_url):
    async def set_user(number: int) -> None:
        override = Override(by=By.USER, value=f"user-{number}", stage=Stage.LIVE)
        await change(store, SetOverride(scope=LAB, override=override))

    await asyncio.gather(*(set_user(number) for number in range(20)))
    newest = await store.newest()
    assert newest.version == 21
    assert len(newest.flag_set.flags[LAB].rule.overrides) == 20
    assert [entry.version for entry in await store.history()] == list(range(21, 0, -1))
    assert read_mark((await held(redis_url))[1]) == (newest.store, 21)


async def test_a_condition_on_the_version_holds(store):
    assert (await change(store, ramp(10), if_version=1)).stored.version == 2
    with pytest.raises(VersionMismatch) as stale:
        await change(store, ramp(20), if_version=1)
    assert stale.value.version == 2
    assert (await store.newest()).version == 2


async def test_what_may_not_be_stored_changes_nothing(store):
    def spoil(flag_set: FlagSet) -> FlagSet:
        return type(flag_set)(flags={Scope(entity="labs"): flag_set.flags[LAB]}, states={})

    with pytest.raises(FlagSetInvalid, match=r"labs\.stage"):
        await store.change(spoil, change={"kind": "test"}, who="olga", reason="")
    assert (await store.newest()).version == 1


async def test_the_history_says_who_why_and_what(store):
    await change(store, ramp(10))
    await store.change(
        lambda f: apply(f, ramp(20)).flag_set, change=ramp(20).facts(), who="otto", reason="more"
    )
    newest, older, first = await store.history()
    assert (newest.who, newest.reason, newest.approver) == ("otto", "more", None)
    assert newest.change == {
        "kind": "ramp",
        "entity": "lab_orders",
        "stage": "live",
        "percent": 2,
    }
    assert older.at <= newest.at
    assert first.who == "banyan"
    assert [e.version for e in await store.history(entity="lab_orders", limit=1)] == [3]
    assert [e.version for e in await store.history(entity="lab_orders", before=3)] == [2]
    assert await store.history(entity="submissions") == []


@pytest.mark.parametrize(
    "statement",
    [
        "update control.flag_versions set who = 'x'",
        "delete from control.flag_versions",
        "truncate control.flag_versions cascade",
        "insert into control.flag_store default values",
    ],
)
async def test_history_cannot_be_rewritten(store, empty_dsn, statement):
    connection = await asyncpg.connect(empty_dsn)
    try:
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(statement)
    finally:
        await connection.close()
    assert (await store.newest()).version == 1


async def test_an_approval_is_good_for_one_use(store):
    facts = ramp(500).facts()
    approval = await store.approve(facts, {"shares": []}, approver="anna", seconds=60)
    found = await store.approval(approval.id)
    assert (found.change, found.before, found.approver) == (facts, {"shares": []}, "anna")
    made = await change(store, ramp(500), approval=found)
    assert (await store.history())[0].approver == "anna"
    with pytest.raises(ApprovalSpent):
        await store.approval(approval.id)
    with pytest.raises(ApprovalSpent):
        await change(store, ramp(600), approval=found)
    assert (await store.newest()).version == made.stored.version


async def test_an_old_or_invented_approval_is_none(store):
    old = await store.approve({}, {}, approver="anna", seconds=-1)
    for approval_id in (old.id, uuid4()):
        with pytest.raises(ApprovalSpent):
            await store.approval(approval_id)
    with pytest.raises(ApprovalSpent):
        await change(store, ramp(600), approval=old)


async def test_redis_is_repaired_from_postgresql(store, redis_url):
    assert await store.republish()
    assert not await store.republish()
    made = await change(store, ramp(10))
    client = patient(redis_url)
    store_id = made.stored.store

    await client.flushall()
    assert await store.republish()
    await client.delete(KEY)
    assert await store.republish()
    await client.set(VERSION_KEY, f"{store_id} 1")
    assert await store.republish()
    await client.set(VERSION_KEY, "another-store 99")
    assert await store.republish()
    await client.set(VERSION_KEY, b"\xff garbage")
    assert await store.republish()
    assert read_mark((await held(redis_url))[1]) == (store_id, 2)
    await client.aclose()


async def test_redis_never_goes_back_to_an_older_version(store, redis_url):
    old = await store.newest()
    made = await change(store, ramp(10))
    assert not await store._publish(old)
    assert read_mark((await held(redis_url))[1]) == (made.stored.store, 2)


async def test_while_redis_is_gone_nothing_changes_but_panic(empty_dsn, tmp_path):
    with own_valkey(tmp_path / "valkey") as valkey:
        async with opened(empty_dsn, valkey.url) as store:
            await store.found(FIRST)
            keeper = tasks.spawn(keep_published(store), name="keeper")
            valkey.kill()
            with pytest.raises(StoreUnavailable, match="redis"):
                await change(store, ramp(10))
            assert (await store.newest()).version == 1
            made = await change(store, ramp(20), unpublished=True)
            assert (made.stored.version, made.published) == (2, False)
            valkey.start()

            async def told() -> bool:
                return read_mark((await held(valkey.url))[1]) == (made.stored.store, 2)

            await until_async(told)
            await tasks.stop(keeper)


async def test_without_postgresql_the_store_says_so(store, empty_dsn):
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("alter table control.flag_versions rename to gone")
    await connection.close()
    with pytest.raises(StoreUnavailable, match="postgresql"):
        await store.newest()
    await store._pool.close()
    with pytest.raises(StoreUnavailable, match="postgresql"):
        await store.newest()
    with pytest.raises(StoreUnavailable, match="postgresql"):
        await change(store, ramp(10))
