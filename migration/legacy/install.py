"""Runs prepare.sql or revert.sql on the legacy database, as the role that owns its tables.

Each file holds several transactions with a short lock timeout. A table that is busy at the wrong moment refuses
(55P03), and the cure is to run the whole file again: both are idempotent, and what is done takes no lock any more.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from runtime.retry import Policy, retrying

_HERE = Path(__file__).parent
PREPARE = _HERE / "prepare.sql"
REVERT = _HERE / "revert.sql"

_BUSY = Policy(attempts=10, timeout=120.0, first_wait=0.2, longest_wait=5.0)


class LegacyError(Exception):
    """The script stopped. Server messages of these two files name tables, roles and slots, never row values."""

    def __init__(self, script: Path, error: asyncpg.PostgresError) -> None:
        super().__init__(f"{script.name}: {error.sqlstate} {error}")
        self.sqlstate = error.sqlstate

    @property
    def refused(self) -> bool:
        """The file itself said no, and its message says what to do first; nothing was changed."""
        return self.sqlstate in ("55000", "55006")


@dataclass(frozen=True, kw_only=True)
class State:
    """What of prepare.sql is in a database."""

    prepared: list[str]
    missing: list[str]
    installed: int
    """Columns, triggers, policies, identities and publications that the revert would take off."""


async def inspect(dsn: str) -> State:
    """Which of the file's tables are prepared; changes nothing."""
    wanted = re.findall(r"prepare_table\('(\w+)'", _text(PREPARE))
    connection = await asyncpg.connect(dsn)
    try:
        there = set()
        installed = 0
        if await connection.fetchval("select to_regclass('banyan.installed') is not null"):
            there = {row[0] for row in await connection.fetch("select entity from banyan.entity")}
            installed = await connection.fetchval("select count(*) from banyan.installed")
    finally:
        await connection.close()
    return State(
        prepared=[table for table in wanted if table in there],
        missing=[table for table in wanted if table not in there],
        installed=installed,
    )


async def prepare(dsn: str) -> list[str]:
    """Install the support; a second run changes nothing. Answers the server's notices (what it could not do, and why)."""
    return await _run(dsn, PREPARE)


async def revert(dsn: str) -> list[str]:
    """Take everything off that `prepare` installed; rows stay. Raises LegacyError when the file refuses (a slot in use,
    a table closed for writes, a conflict not yet collected)."""
    return await _run(dsn, REVERT)


async def _run(dsn: str, script: Path) -> list[str]:
    sql = _text(script)
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "banyan legacy"})
    notices: list[str] = []
    connection.add_log_listener(lambda _, message: notices.append(message.message))
    try:
        async for attempt in retrying(asyncpg.LockNotAvailableError, _BUSY):
            with attempt:
                notices.clear()
                # One statement of a failed file may have left its transaction open.
                await connection.execute("rollback")
                notices.clear()
                await connection.execute(sql)
    except asyncpg.PostgresError as error:
        raise LegacyError(script, error) from error
    finally:
        await connection.close()
    return notices


def _text(script: Path) -> str:
    return script.read_text(encoding="utf-8")
