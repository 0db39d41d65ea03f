"""`banyan mirror status|quarantine|redrive|restamp|replay`: how the mirror does, and what is done about what does not arrive.

Directly on the control database, like `banyan audit verify`: it must work when the control API does not.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from rich.table import Table

from catalog import assets
from catalog.stage import Side
from cli.control_client import Json, RunFolder
from cli.operator_audit import chain, record
from cli.outcome import fail, out, refuse
from cli.restamp import Restamping
from cli.run_settings import run_settings
from migration.ledger import redrive
from migration.mirror_view import MirrorView
from migration.restamp import REFUSALS, RestampRefused
from migration.store import StoreError
from migration.sync_backfill import GROUP
from routes.key import Key, parse_key, write_key
from routes.value import ValueRefused
from runtime.eventlog.errors import EventLogError
from runtime.eventlog.redis_log import RedisLog
from runtime.postgres import POSTGRESQL, pool_for
from runtime.serviceevent import topic_of
from runtime.settings import Settings
from runtime.settingserror import SettingsError
from runtime.stack import STACK_FILE

T = TypeVar("T")

app = typer.Typer(help="The mirror between legacy and the services.", no_args_is_help=True)

_NAMES = (
    "PROFILE",
    "CONTROL_DATABASE_URL",
    "AUDIT_KEYS",
    "REDIS_URL",
    "EVENT_LOG_PARTITIONS",
    "LEGACY_DATABASE_URL",
    "LEGACY_CONTROL_DATABASE_URL",
    "SERVICES_APPLY_DATABASE_URL",
    "SERVICES_CONTROL_DATABASE_URL",
)
"""What is taken from the sandbox; the last four for a restamp alone."""

DryRun = Annotated[bool, typer.Option(help="Say what would be done, and change nothing.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the audit chain.")]


@app.command()
def status(as_json: Json = False, run: RunFolder = STACK_FILE.parent) -> None:
    """Who works, what is announced and not settled, what has not arrived."""

    async def look(connection: asyncpg.Connection, _: Settings) -> dict[str, Any]:
        view = MirrorView(connection)
        return {
            "workers": [asdict(one) for one in await view.workers()],
            "open_writes": [asdict(one) for one in await view.open_writes()],
            "unsolved": [asdict(one) for one in await view.unsolved()],
        }

    found = _ask(run, look)
    if as_json:
        out.print_json(json.dumps(found))
        return
    for title, rows in found.items():
        out.print(title.replace("_", " "))
        _show(rows)


@app.command()
def quarantine(
    entity: Annotated[str | None, typer.Argument(help="Of one entity.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    keys: Annotated[bool, typer.Option("--keys", help="With the rows' ids; audited.")] = False,
    reason: Reason = "",
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """What is tried no more, oldest first."""
    _known(entity)
    if keys and not reason:
        refuse("Whoever sees ids says why: --reason.")

    async def look(connection: asyncpg.Connection, settings: Settings) -> list[dict[str, Any]]:
        found = await MirrorView(connection).quarantined(entity, limit)
        if keys:
            subject = {"entity": entity or "*", "count": len(found)}
            async with connection.transaction():
                await record(connection, settings, "mirror.keys_shown", reason, subject)
        hidden = () if keys else ("key",)
        return [{k: v for k, v in asdict(one).items() if k not in hidden} for one in found]

    found = _ask(run, look)
    if as_json:
        out.print_json(json.dumps({"items": found}, default=str))
        return
    _show(found)


@app.command("redrive")
def redrive_(
    entity: Annotated[str | None, typer.Argument(help="Entity of the row.")] = None,
    key: Annotated[str | None, typer.Argument(help="Its id, as in a path.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All, or all of ENTITY.")] = False,
    reason: Reason = "",
    dry_run: DryRun = False,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Take rows out of quarantine: they are tried again at once, with all that has happened to them since."""
    _known(entity)
    if (key is None) != everything:
        refuse("Name one row (ENTITY KEY), or say --all.")
    if not reason and not dry_run:
        refuse("Say why: --reason.")
    text = None if key is None or entity is None else write_key(_key(entity, key))

    async def do(connection: asyncpg.Connection, settings: Settings) -> int:
        if dry_run:
            return await MirrorView(connection).how_many(entity, text)
        async with connection.transaction():
            count = await redrive(connection, entity, None if text is None else [text])
            tag = chain(settings).tag(entity or "*", "key", text) if text else ""
            subject = {"entity": entity or "*", "row": tag, "count": count}
            await record(connection, settings, "mirror.redrive", reason, subject)
        return count

    count = _ask(run, do)
    _tell({"redriven": 0 if dry_run else count, "meant": count}, as_json)
    if count == 0:
        refuse("Nothing of that is in quarantine: banyan mirror quarantine shows what is.")


@app.command("restamp")
def restamp_(
    entity: Annotated[str, typer.Argument(help="Entity of the row.")],
    key: Annotated[str, typer.Argument(help="Its id, as in a path.")],
    side: Annotated[Side, typer.Option(help="Who holds the stamp that lies ahead of the clock.")],
    reason: Reason = "",
    dry_run: DryRun = False,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Give a parked row the stamp of now, as a new version with the same content, and redrive it."""
    _known(entity)
    if not reason and not dry_run:
        refuse("Say why: --reason.")
    named = _key(entity, key)

    async def do(connection: asyncpg.Connection, settings: Settings) -> dict[str, Any]:
        async with AsyncExitStack() as stack:

            async def pool(dsn: str) -> asyncpg.Pool:
                return await stack.enter_async_context(pool_for(dsn, name="banyan mirror", size=1))

            service = assets()[entity].service
            readers = {
                Side.LEGACY: await pool(settings.need_secret("legacy_database_url")),
                Side.SERVICE: await pool(settings.service_apply_url(service)),
            }
            dsn = (
                settings.need_secret("legacy_control_database_url")
                if side is Side.LEGACY
                else settings.service_control_url(service)
            )
            cure = Restamping(connection, settings, readers, await pool(dsn))
            return await cure.run(entity, named, side, reason, dry_run=dry_run)

    _tell(_ask(run, do), as_json)


@app.command()
def replay(
    entity: Annotated[str, typer.Argument(help="Whose events.")],
    since: Annotated[
        datetime | None, typer.Option(help="UTC; default: as far back as the log goes (an hour).")
    ] = None,
    reason: Reason = "",
    dry_run: DryRun = False,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Let sync-backfill hear a service's events once more. What legacy has already changes nothing."""
    _known(entity)
    if not reason and not dry_run:
        refuse("Say why: --reason.")
    moment = None if since is None else since.replace(tzinfo=UTC)

    async def do(connection: asyncpg.Connection, settings: Settings) -> int:
        events = RedisLog(
            settings.need_secret("redis_url"), partitions=settings.event_log_partitions
        )
        try:
            if dry_run:
                return (await events.backlog(topic_of(entity))).entries
            async with connection.transaction():
                subject = {"entity": entity, "since": "" if moment is None else moment.isoformat()}
                await record(connection, settings, "mirror.replay", reason, subject)
                await events.seek(GROUP, topic_of(entity), moment or "start")
            return sum(await events.lag(GROUP, topic_of(entity)))
        finally:
            await events.close()

    _tell({"replayed" if not dry_run else "in_the_log": _ask(run, do)}, as_json)


# --- steps


def _ask(run: Path, do: Callable[[asyncpg.Connection, Settings], Awaitable[T]]) -> T:
    try:
        return asyncio.run(_connected(run_settings(run, _NAMES), do))
    except SettingsError as error:
        refuse(*error.problems)
    except POSTGRESQL as error:
        fail(f"The control database cannot be used ({type(error).__name__}).")
    except EventLogError as error:
        fail(str(error))
    except RestampRefused as refused:
        refuse(REFUSALS[refused.code])
    except StoreError as error:
        fail(f"A side's database cannot be used ({error.code}).")


async def _connected(
    settings: Settings, do: Callable[[asyncpg.Connection, Settings], Awaitable[T]]
) -> T:
    connection = await asyncpg.connect(
        settings.need_secret("control_database_url"),
        server_settings={"application_name": "banyan mirror"},
    )
    try:
        return await do(connection, settings)
    finally:
        await connection.close()


def _known(entity: str | None) -> None:
    if entity is not None and entity not in assets():
        refuse(f"There is no entity of that name. Known: {', '.join(assets())}")


def _key(entity: str, text: str) -> Key:
    try:
        return parse_key(assets()[entity], text.encode())
    except ValueRefused as refused:
        refuse(f"That is no key of {entity}: {refused}")


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps(found))
    else:
        out.print(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in found.items()))


def _show(rows: list[dict[str, Any]]) -> None:
    if not rows:
        out.print("  nothing")
        return
    table = Table(*(name.replace("_", " ") for name in rows[0]), box=None)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    out.print(table)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)
