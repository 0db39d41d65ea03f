"""The audit chain over real PostgreSQL: a change and its record are one, and nothing can be changed behind it unseen."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from runtime import tasks
from runtime.alerts import Alerts
from runtime.auditanchor import AnchorFile, anchor
from runtime.auditchain import AuditChain, Event, NotInTransaction
from runtime.auditrecord import BEGINNING, Record
from runtime.audittrail import AuditTrail
from runtime.auditverify import Broken, Fault, Verdict, verify
from runtime.auditwatch import keep_anchored
from runtime.control_database import MIGRATIONS, migrate_control
from runtime.flagstore import StoreUnavailable
from runtime.postgres import create_pool, migrate
from tests.fakes.keys import keyring
from tests.until import until_async

pytestmark = pytest.mark.stack

KEYS = keyring("a1")
CHAIN = AuditChain(KEYS, writer="control")
COUNT = 6


@pytest.fixture
async def pool(empty_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate_control(empty_dsn)
    pool = await create_pool(empty_dsn, name="test", size=6)
    yield pool
    await pool.close()


def event(number: int) -> Event:
    return Event(
        action="flags.ramp",
        actor="olga",
        reason=f"step {number}",
        subject={"version": number, "share": 12.5, "ü": ["'", None, True], "much": 10.0**22},
    )


async def append(pool: asyncpg.Pool, count: int = COUNT, chain: AuditChain = CHAIN) -> list[Record]:
    made = []
    for number in range(count):
        async with pool.acquire() as connection, connection.transaction():
            made.append(await chain.append(connection, event(number)))
    return made


async def change(pool: asyncpg.Pool, event: Event, *, fails: bool = False) -> None:
    """Some change of the control database, and its record."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "insert into control.revocations (kind, value, reason, actor) values ('jti', 'j', '', 'olga')"
        )
        await CHAIN.append(connection, event)
        if fails:
            raise ZeroDivisionError


async def tamper(pool: asyncpg.Pool, *statements: str) -> None:
    """As somebody who owns the tables: without the triggers, and without the constraints that stand in the way."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("alter table control.audit disable trigger user")
        await connection.execute("alter table control.audit_heads disable trigger user")
        await connection.execute("alter table control.audit drop constraint if exists audit_pkey")
        for statement in statements:
            await connection.execute(statement)
        await connection.execute("alter table control.audit enable trigger user")
        await connection.execute("alter table control.audit_heads enable trigger user")


async def judge(
    pool: asyncpg.Pool, *, keys=KEYS, file: AnchorFile | None = None
) -> dict[str, Verdict]:
    anchors = file.furthest("control") if file else {}
    async with pool.acquire() as connection:
        return {v.writer: v for v in await verify(connection, keys, anchors=anchors)}


async def broken(pool: asyncpg.Pool, **more) -> tuple[int, Fault] | None:
    found = (await judge(pool, **more))["control"].broken
    return (found.n, found.fault) if found else None


async def test_records_hang_together(pool: asyncpg.Pool) -> None:
    made = await append(pool)
    assert [record.n for record in made] == list(range(1, COUNT + 1))
    assert made[0].previous == BEGINNING
    assert [record.previous for record in made[1:]] == [record.hash for record in made[:-1]]
    assert await AuditTrail(pool).page("control", before=None, limit=50) == made[::-1]
    assert await AuditTrail(pool).page("control", before=4, limit=2) == [made[2], made[1]]
    assert await judge(pool) == {"control": Verdict(writer="control", records=COUNT, broken=None)}


async def test_a_session_in_another_zone_and_style_reads_the_same(pool: asyncpg.Pool) -> None:
    await append(pool)
    async with pool.acquire() as connection:
        await connection.execute("set timezone = 'Asia/Kolkata'")
        await connection.execute("set datestyle = 'German'")
        [verdict] = await verify(connection, KEYS, anchors={})
        assert verdict.broken is None
        async with connection.transaction():
            await CHAIN.append(connection, event(9))
    assert await broken(pool) is None


async def test_a_record_is_gone_with_its_change_and_the_change_with_its_record(
    pool: asyncpg.Pool,
) -> None:
    [kept] = await append(pool, 1)
    with pytest.raises(ZeroDivisionError):
        await change(pool, event(2), fails=True)
    async with pool.acquire() as connection:
        with pytest.raises(NotInTransaction):
            await CHAIN.append(connection, event(3))
    for bad in (
        Event(action="no verb", actor="olga", reason="", subject={}),
        Event(action="flags.ramp", actor="", reason="", subject={}),
        Event(action="flags.ramp", actor="olga", reason="", subject={"nul": "\0"}),
    ):
        with pytest.raises(asyncpg.PostgresError):
            await change(pool, bad)
    assert await pool.fetchval("select count(*) from control.revocations") == 0
    assert await AuditTrail(pool).page("control", before=None, limit=9) == [kept]
    assert await broken(pool) is None


async def test_appends_at_the_same_time_make_one_chain(pool: asyncpg.Pool) -> None:
    other = AuditChain(KEYS, writer="phases")
    await asyncio.gather(*(append(pool, 10, chain) for chain in (CHAIN, other) for _ in range(4)))
    found = await judge(pool)
    assert {w: (v.records, v.broken) for w, v in found.items()} == {
        "control": (40, None),
        "phases": (40, None),
    }
    records = await AuditTrail(pool).page("control", before=None, limit=50)
    at = [record.at for record in records]
    assert at == sorted(at, reverse=True), "whoever waited has a later instant"


@pytest.mark.parametrize(
    "statement",
    [
        "update control.audit set reason = 'x'",
        "delete from control.audit",
        "truncate control.audit",
        "truncate control.audit_heads cascade",
        "delete from control.audit_heads",
        "update control.audit_heads set n = n - 1",
        "update control.audit_heads set n = n + 2",
        "update control.audit_heads set hash = decode(repeat('00', 32), 'hex')",
        "update control.audit_heads set writer = 'x', n = n + 1",
    ],
)
async def test_it_is_append_only(pool: asyncpg.Pool, statement: str) -> None:
    await append(pool)
    with pytest.raises(asyncpg.PostgresError):
        await pool.execute(statement)
    assert await broken(pool) is None


@pytest.fixture
async def writing_role(pool: asyncpg.Pool) -> AsyncIterator[str]:
    """A role with what the migration says that a writer needs, and no more."""
    name = f"audit_writer_{uuid4().hex}"
    await pool.execute(
        f"create role {name}; grant {name} to current_user; grant usage on schema control to {name};"
        f" grant select, insert on control.audit to {name};"
        f" grant select, insert, update on control.audit_heads to {name}"
    )
    yield name
    await pool.execute(f"drop owned by {name}; drop role {name}")


async def test_who_writes_it_needs_no_right_to_change_it(
    pool: asyncpg.Pool, writing_role: str
) -> None:
    async with pool.acquire() as connection:
        await connection.execute(f"set role {writing_role}")
        for number in range(2):
            async with connection.transaction():
                await CHAIN.append(connection, event(number))
        for statement in (
            "update control.audit set reason = ''",
            "delete from control.audit",
            "truncate control.audit",
            "delete from control.audit_heads",
            "alter table control.audit disable trigger user",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.execute("reset role")
    assert (await judge(pool))["control"].records == 2


FLIP = "set_byte({0}, 31, get_byte({0}, 31) # 1)"
TAMPERING = {
    "edit actor": (["update control.audit set actor = 'otto' where n = 3"], 3, Fault.ALTERED),
    "edit action": (["update control.audit set action = 'flags.set' where n = 3"], 3, Fault.ALTERED),
    "edit reason": (["update control.audit set reason = reason || ' ' where n = 1"], 1, Fault.ALTERED),
    "edit at": (["update control.audit set at = at + interval '1 microsecond' where n = 6"], 6, Fault.ALTERED),
    "at far away": (["update control.audit set at = 'infinity' where n = 2"], 2, Fault.ALTERED),
    "at long ago": (["update control.audit set at = '4000-01-01 BC' where n = 2"], 2, Fault.ALTERED),
    "edit subject": (["update control.audit set subject = subject || '{\"version\": 9}' where n = 3"], 3, Fault.ALTERED),
    "another zero": (["update control.audit set subject = subject || '{\"share\": 12.50}' where n = 3"], 3, Fault.ALTERED),
    "a number too large for us": (["update control.audit set subject = subject || '{\"much\": 1e999}' where n = 3"], 3, Fault.ALTERED),
    "edit key id": (["update control.audit set key_id = 'a2' where n = 3"], 3, Fault.UNKNOWN_KEY),
    "flip hash": ([f"update control.audit set hash = {FLIP.format('hash')} where n = 3"], 3, Fault.ALTERED),
    "flip last hash": ([f"update control.audit set hash = {FLIP.format('hash')} where n = 6"], 6, Fault.ALTERED),
    "flip previous": ([f"update control.audit set previous = {FLIP.format('previous')} where n = 3"], 3, Fault.UNLINKED),
    "delete": (["delete from control.audit where n = 4"], 4, Fault.MISSING),
    "delete the first": (["delete from control.audit where n = 1"], 1, Fault.MISSING),
    "delete and close the gap": (
        ["delete from control.audit where n = 4", "update control.audit set n = n - 1 where n > 4",
         "update control.audit_heads set n = 5"], 4, Fault.UNLINKED),
    "reorder": (
        ["update control.audit set n = case n when 2 then 3 else 2 end where n in (2, 3)"], 2, Fault.UNLINKED),
    "insert": (
        ["update control.audit set n = n + 1 where n > 2",
         "insert into control.audit select writer, 3, at, action, 'mallory', reason, subject, key_id, previous, hash"
         " from control.audit where n = 2", "update control.audit_heads set n = 7"], 3, Fault.UNLINKED),
    "insert a linked one": (
        ["update control.audit set n = n + 1 where n > 2",
         "insert into control.audit select writer, 3, at, action, 'mallory', reason, subject, key_id, hash, hash"
         " from control.audit where n = 2", "update control.audit_heads set n = 7"], 3, Fault.ALTERED),
    "a number twice": (
        ["insert into control.audit select * from control.audit where n = 3"], 3, Fault.UNLINKED),
    "append": (
        ["insert into control.audit select writer, 7, at, action, actor, reason, subject, key_id, hash, hash"
         " from control.audit where n = 6"], 7, Fault.ALTERED),
    "cut the tail": (["delete from control.audit where n > 4"], 5, Fault.CUT),
    "cut all": (["delete from control.audit"], 1, Fault.CUT),
    "move the head back": (["update control.audit_heads set n = 4"], 5, Fault.WRONG_HEAD),
    "flip the head": ([f"update control.audit_heads set hash = {FLIP.format('hash')}"], 6, Fault.WRONG_HEAD),
    "lose the head": (
        ["alter table control.audit drop constraint audit_writer_fkey", "delete from control.audit_heads"], 1, Fault.WRONG_HEAD),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERING)
async def test_tampering_is_found_and_the_first_bad_record_named(
    pool: asyncpg.Pool, how: str
) -> None:
    await append(pool)
    await append(pool, 3, AuditChain(KEYS, writer="phases"))
    statements, n, fault = TAMPERING[how]
    mine = [s.replace("where", "where writer = 'control' and") if "where" in s else
            f"{s} where writer = 'control'" if s.startswith(("delete", "update")) else s
            for s in statements]  # fmt: skip
    await tamper(pool, *mine)
    found = await judge(pool)
    assert found["control"].broken is not None
    assert (found["control"].broken.n, found["control"].broken.fault) == (n, fault)
    assert found["phases"] == Verdict(writer="phases", records=3, broken=None)


async def test_every_bit_of_both_hashes_counts(pool: asyncpg.Pool) -> None:
    await append(pool, 2)
    bits = [(column, bit) for column in ("previous", "hash") for bit in range(256)]
    for column, bit in bits:
        flip = f"update control.audit set {column} = set_bit({column}, {bit}, 1 - get_bit({column}, {bit})) where n = 2"
        await tamper(pool, flip)
        assert await broken(pool) in ((2, Fault.ALTERED), (2, Fault.UNLINKED)), (column, bit)
        await tamper(pool, flip)
    assert await broken(pool) is None


async def test_a_tail_cut_with_its_head_needs_the_anchor(
    pool: asyncpg.Pool, tmp_path: Path
) -> None:
    file = AnchorFile(tmp_path / "anchors.jsonl")
    made = await append(pool)
    async with pool.acquire() as connection:
        assert await anchor(connection, file) == []
    cut = ["delete from control.audit where n > 4",
           "update control.audit_heads set n = 4, hash = (select hash from control.audit where n = 4)"]  # fmt: skip
    await tamper(pool, *cut)
    assert await broken(pool) is None, "without an anchor nobody can know"
    assert await broken(pool, file=file) == (5, Fault.CUT)
    async with pool.acquire() as connection:
        [told] = await anchor(connection, file)
    assert told == Verdict(writer="control", records=4, broken=Broken(n=5, fault=Fault.CUT))

    await append(pool, 4)
    assert await broken(pool, file=file) == (6, Fault.REWRITTEN), "grown again, by who has the key"
    async with pool.acquire() as connection:
        [told] = await anchor(connection, file)
    assert told.broken == Broken(n=6, fault=Fault.REWRITTEN)
    last = file.furthest("control")["control"]
    assert (last.n, last.hash) == (COUNT, made[-1].hash), "no anchor on top of what is broken"

    await tamper(
        pool,
        "alter table control.audit drop constraint audit_writer_fkey",
        "delete from control.audit",
        "delete from control.audit_heads",
    )
    assert await broken(pool, file=file) == (1, Fault.CUT)
    async with pool.acquire() as connection:
        [told] = await anchor(connection, file)
    assert told.broken == Broken(n=1, fault=Fault.CUT)


async def test_anchors_follow_each_chain(pool: asyncpg.Pool, tmp_path: Path) -> None:
    file = AnchorFile(tmp_path / "anchors.jsonl")
    await append(pool, 2)
    await append(pool, 3, AuditChain(KEYS, writer="phases"))
    async with pool.acquire() as connection:
        await anchor(connection, file)
        before = (tmp_path / "anchors.jsonl").read_bytes()
        await anchor(connection, file)
        assert (tmp_path / "anchors.jsonl").read_bytes() == before, "nothing has moved"
    await append(pool, 1)
    async with pool.acquire() as connection:
        await anchor(connection, file)
    assert {w: a.n for w, a in file.furthest("control").items()} == {"control": 3, "phases": 3}
    assert await broken(pool, file=file) is None


async def test_the_keeper_anchors_and_outlives_a_dead_disk(
    pool: asyncpg.Pool, tmp_path: Path
) -> None:
    folder = tmp_path / "second-store"
    folder.write_text("a file where the folder should be")
    file = AnchorFile(folder / "anchors.jsonl")
    await append(pool, 2)
    keeper = tasks.spawn(keep_anchored(pool, file, every=0.02), name="keeper")
    folder.unlink()

    async def anchored() -> bool:
        return folder.is_dir() and bool(file.furthest("control"))

    await until_async(anchored)
    await tasks.stop(keeper)


async def test_a_cut_tail_is_an_alert_until_somebody_has_seen_to_it(
    pool: asyncpg.Pool, tmp_path: Path
) -> None:
    file = AnchorFile(tmp_path / "anchors.jsonl")
    await append(pool)
    keeper = tasks.spawn(keep_anchored(pool, file, every=0.02), name="keeper")
    alerts = Alerts(pool)

    async def states() -> list[str]:
        return [alert.state for alert in await alerts.page(resolved=True)]

    async def anchored() -> bool:
        return "control" in file.furthest("control")

    async def rung() -> bool:
        return await states() == ["open"]

    async def over() -> bool:
        return await states() == ["resolved"]

    await until_async(anchored)
    assert await states() == []
    await tamper(
        pool, "delete from control.audit where n > 4", "update control.audit_heads set n = 4"
    )
    await until_async(rung)
    [alert] = await alerts.page()
    assert (alert.alert_class, alert.detail) == ("audit_broken", "cut")
    (tmp_path / "anchors.jsonl").rename(tmp_path / "evidence.jsonl")
    await until_async(over)
    await tasks.stop(keeper)


async def test_keys_rotate_and_a_lost_one_is_named(pool: asyncpg.Pool) -> None:
    await append(pool, 3)
    rotated = keyring("a2", "a1")
    await append(pool, 2, AuditChain(rotated, writer="control"))
    assert await broken(pool, keys=rotated) is None
    lost = (await judge(pool, keys=KEYS))["control"]
    assert lost.broken == Broken(n=4, fault=Fault.UNKNOWN_KEY, key_id="a2")
    assert lost.records == 3
    wrong = type(KEYS)(newest="a1", keys={"a1": b"x" * 32})
    found = (await judge(pool, keys=wrong))["control"].broken
    assert found == Broken(n=1, fault=Fault.ALTERED, key_id="a1")


async def test_another_schema_has_its_own(pool: asyncpg.Pool, tmp_path: Path) -> None:
    """The same file serves a service's schema; a record of one schema's chain is none in the other's."""
    block = tmp_path / "audit"
    block.mkdir()
    (block / "0021_audit.sql").write_text((MIGRATIONS / "0003_audit.sql").read_text())
    async with pool.acquire() as connection:
        await migrate(connection, block, schema="intake")  # type: ignore[arg-type]
    await append(pool, 2)
    await append(pool, 3, AuditChain(KEYS, writer="control", schema="intake"))
    async with pool.acquire() as connection:
        [verdict] = await verify(connection, KEYS, anchors={}, schema="intake")
        assert (verdict.records, verdict.broken) == (3, None)
        with pytest.raises(asyncpg.RestrictViolationError):
            await connection.execute("delete from intake.audit")
    assert (await judge(pool))["control"].records == 2
    await tamper(pool, "delete from control.audit", "delete from control.audit_heads where n = 0",
                 "insert into control.audit select * from intake.audit",
                 "update control.audit_heads set (n, hash) = (select n, hash from intake.audit_heads)")  # fmt: skip
    assert await broken(pool) == (1, Fault.ALTERED)


async def test_a_long_chain_is_read_piece_by_piece(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        for _ in range(3):
            async with connection.transaction():
                for number in range(400):
                    await CHAIN.append(connection, event(number))
    await tamper(pool, "update control.audit set reason = '' where n = 1100")
    assert (await judge(pool))["control"].records == 1099


async def test_without_the_database_the_trail_says_so(pool: asyncpg.Pool) -> None:
    await pool.execute("alter table control.audit rename to gone")
    with pytest.raises(StoreUnavailable):
        await AuditTrail(pool).page("control", before=None, limit=1)


def test_tags_stand_for_ids() -> None:
    one, other = (CHAIN.tag("users", "sub", who) for who in ("a", "b"))
    assert one != other
    assert one == AuditChain(KEYS, writer="phases").tag("users", "sub", "a")
    assert one.startswith("a1:")
