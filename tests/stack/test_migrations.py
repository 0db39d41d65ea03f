"""Plain SQL migrations on a real PostgreSQL: order, checksum, lock, and what is refused."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from runtime.postgres import MigrationError, create_pool, migrate, quote_identifier, read_migrations

pytestmark = pytest.mark.stack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations; the second needs the first."""
    write(tmp_path, "0001_things.sql", "create table thing (id int);", down="drop table thing;")
    write(tmp_path, "0002_more.sql", "alter table thing add column name text;")
    return tmp_path


def write(folder: Path, name: str, up: str, down: str = "") -> None:
    text = f"-- migrate:up\n{up}\n" + (f"-- migrate:down\n{down}\n" if down else "")
    (folder / name).write_text(text)


async def run(dsn: str, folder: Path, schema: str = "demo") -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return await migrate(connection, folder, schema=schema)
    finally:
        await connection.close()


async def test_each_runs_once_in_order_in_its_schema(empty_dsn: str, folder: Path) -> None:
    assert await run(empty_dsn, folder) == ["0001_things.sql", "0002_more.sql"]
    assert await run(empty_dsn, folder) == []
    write(folder, "0003_last.sql", "insert into thing values (1, 'x');")
    assert await run(empty_dsn, folder) == ["0003_last.sql"]
    connection = await asyncpg.connect(empty_dsn)
    assert await connection.fetchval("select name from demo.thing") == "x"
    await connection.close()


async def test_an_edited_file_is_refused(empty_dsn: str, folder: Path) -> None:
    await run(empty_dsn, folder)
    write(folder, "0001_things.sql", "create table thing (id bigint);")
    with pytest.raises(MigrationError, match=r"0001_things\.sql: changed after it ran"):
        await run(empty_dsn, folder)


async def test_a_failing_file_leaves_nothing_of_itself(empty_dsn: str, folder: Path) -> None:
    write(folder, "0003_bad.sql", "create table half (id int); select nonsense;")
    with pytest.raises(MigrationError, match=r"0003_bad\.sql: 42703"):
        await run(empty_dsn, folder)
    connection = await asyncpg.connect(empty_dsn)
    assert await connection.fetchval("select to_regclass('demo.half')") is None
    assert await connection.fetchval("select count(*) from demo.schema_migrations") == 2
    await connection.close()


async def test_processes_that_start_together_run_each_file_once(
    empty_dsn: str, folder: Path
) -> None:
    ran = await asyncio.gather(*(run(empty_dsn, folder) for _ in range(6)))
    assert sorted(name for names in ran for name in names) == ["0001_things.sql", "0002_more.sql"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("first.sql", "-- migrate:up\nselect 1;", "named <number>_<name>.sql"),
        ("0001_again.sql", "-- migrate:up\nselect 1;", "number 0001 is taken"),
        ("0009_x.sql", "select 1;", "no line `-- migrate:up`"),
    ],
)
def test_a_wrong_folder_is_told(folder: Path, name: str, text: str, says: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(MigrationError, match=says):
        read_migrations(folder)


def test_an_empty_folder_is_no_set_of_migrations(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="no migrations there"):
        read_migrations(tmp_path)


async def test_a_strange_schema_name_is_refused(empty_dsn: str, folder: Path) -> None:
    with pytest.raises(MigrationError, match="plain lower-case"):
        await run(empty_dsn, folder, schema='x"; drop schema public; --')


async def test_a_pool_ends_long_statements_and_says_who_it_is(empty_dsn: str) -> None:
    pool = await create_pool(empty_dsn, name="test-pool", size=1, statement_timeout_seconds=0.1)
    assert await pool.fetchval("show application_name") == "test-pool"
    assert await pool.fetchval("show timezone") == "UTC"
    with pytest.raises(asyncpg.QueryCanceledError):
        await pool.fetchval("select pg_sleep(5)")
    await pool.close()


def test_identifiers_are_quoted_whatever_they_hold() -> None:
    assert quote_identifier('a"b') == '"a""b"'
