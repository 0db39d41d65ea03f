"""`banyan shadow report|inspect|ignore|unignore|ignored`: whether the new answers are the old ones, and what is done about it.

Directly on the control database, like `banyan mirror`: it must work when the control API does not.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import asyncpg
import typer
from rich.table import Table
from rich.text import Text

from cli.control_client import Json, RunFolder
from cli.operator_audit import actor, record
from cli.outcome import fail, out, refuse
from cli.run_settings import run_settings
from cli.shadow_inspect import Inspection, InspectionFailed
from cli.shadow_report import ANSWER, document, tell_fields, tell_routes
from cli.shadow_rows import rows_document, tell_rows
from routes import resources
from runtime import shadowstore
from runtime.flagstore import StoreUnavailable
from runtime.postgres import POSTGRESQL, pool_for
from runtime.settings import Settings
from runtime.settingserror import SettingsError
from runtime.shadowstore import KEPT_DAYS, Example, Ignored, ShadowStore
from runtime.stack import STACK_FILE
from shadow.report import Exposed, Report, Sums, exposed, report
from shadow.verdict import WHOLE, Outcome

T = TypeVar("T")

app = typer.Typer(help="Are the new answers the old ones?", no_args_is_help=True)

MOST_DAYS = 90
"""How far ahead an ignored column may be ignored."""
_LONGEST_REASON = 1000
_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}", re.ASCII)
"""What the gateway takes or makes."""
_AGO = re.compile(r"(\d{1,5})([mhd])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_NAMES = (
    *("PROFILE", "CONTROL_DATABASE_URL", "AUDIT_KEYS", "FIELD_KEYS", "SHADOW_THRESHOLD"),
    *("ACCESS_LOG_FOLDER", "ACCESS_LOG_KEY", "LEGACY_DATABASE_URL", "SERVICES_APPLY_DATABASE_URL"),
)
"""What is taken from the sandbox."""

Reason = Annotated[str, typer.Option(help="Why; it is kept in the audit chain.")]
Column = Annotated[
    str, typer.Argument(metavar="PATH", help="Entity and column: lab_orders.currency")
]


@app.command("report")
def report_(
    since: Annotated[
        str,
        typer.Option(
            help="How far back (90m, 24h, 7d) or from when on (UTC); slots of five minutes that began then or later."
        ),
    ] = "24h",
    route: Annotated[
        str | None, typer.Option(help="A route, or an entity for all of its: column by column.")
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(help=f'With --route: one column, or "{ANSWER}" for status, headers, order.'),
    ] = None,
    release: Annotated[str | None, typer.Option(help="Of one release of the gateway.")] = None,
    examples: Annotated[int, typer.Option(min=0, max=500, help="With --route: how many.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Routes without traffic, too.")] = False,
    gate: Annotated[bool, typer.Option("--gate", help="Exit 1 unless the whole passes.")] = False,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """What was compared, how often the sides differed, and whether that is little enough. With --route for that route alone."""
    moment = _moment(since)
    wanted = exposed() if route is None else _routes(route)
    column = _field(field, wanted if route else None)

    async def look(
        control: asyncpg.Pool, settings: Settings
    ) -> tuple[Report, Sequence[Ignored], Sequence[Example]]:
        store = ShadowStore(control)
        ignored = await store.ignored(datetime.now(UTC))
        sums, shown = Sums(), []
        for at in [None] if route is None else [one.route for one in wanted]:
            await _add_up(store, sums, moment, at, release)
            if at is not None and examples:
                shown += await store.examples(moment, route=at, field=column, limit=examples)
        made = report(
            sums,
            ignored={one.path for one in ignored},
            threshold=settings.shadow_threshold,
            of=wanted,
        )
        shown = [one for one in shown if release in (None, one.release)]
        shown.sort(key=lambda one: one.at, reverse=True)
        entities = {one.entity for one in wanted}
        in_force = [one for one in ignored if one.path.partition(".")[0] in entities]
        return made, in_force, shown[:examples]

    made, ignored, shown = _ask(run, look)
    if as_json:
        out.print_json(json.dumps(document(made, ignored, moment, shown)))
    elif route is None:
        tell_routes(made, ignored, everything=everything)
    else:
        tell_fields(made, ignored, column, shown)
    if gate and made.overall is not Outcome.PASS:
        fail(f"Not at parity: {made.overall}.")


@app.command()
def inspect(
    correlation_id: Annotated[
        str, typer.Argument(help="X-Correlation-ID of a request that differed.")
    ],
    reason: Reason = "",
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Break-glass: both sides' rows of a difference, as they are now. Audited, recorded, and an alert; the only command that shows values.

    Exit 1 if nothing is kept of it, or if not every row can be shown.
    """
    if _FORM.fullmatch(correlation_id) is None:
        refuse(
            "A correlation id has 8 to 64 letters, digits, or one of . _ - and begins with one of the former."
        )
    _need(reason)

    async def look(control: asyncpg.Pool, settings: Settings) -> Inspection:
        found = Inspection(control, settings, correlation_id)
        await found.run(reason)
        return found

    try:
        found = _ask(run, look)
    except InspectionFailed as failed:
        fail(*failed.reasons)
    if as_json:
        typer.echo(rows_document(found))  # rich would read its numbers as floats
    else:
        tell_rows(found)
    if found.troubles:
        fail(*found.troubles)


@app.command()
def ignore(
    path: Column,
    until: Annotated[
        datetime, typer.Option(help=f"UTC; a day begins at 0:00. At most {MOST_DAYS} days ahead.")
    ],
    reason: Reason = "",
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Let a column decide nothing until a day. It is still compared, counted and shown. Again: the later one holds."""
    _known(path)
    _need(reason)
    end, now = until.replace(tzinfo=UTC), datetime.now(UTC)
    if not now < end <= now + timedelta(days=MOST_DAYS):
        refuse(
            f"--until has to be a moment of the next {MOST_DAYS} days: nothing is ignored for good."
        )
    who = actor()

    async def do(connection: asyncpg.Connection, settings: Settings) -> None:
        async with connection.transaction():
            await shadowstore.ignore(connection, path, reason=reason, until=end, who=who)
            subject = {"path": path, "until": end.isoformat()}
            await record(connection, settings, "shadow.ignored", reason, subject)

    _change(run, do)
    if as_json:
        out.print_json(json.dumps({"path": path, "until": end.isoformat()}))
    else:
        out.print(f"{path} decides nothing until {end:%Y-%m-%d %H:%M} UTC.", markup=False)


@app.command()
def unignore(
    path: Column, reason: Reason = "", as_json: Json = False, run: RunFolder = STACK_FILE.parent
) -> None:
    """Let a column decide again."""
    _known(path)
    _need(reason)

    async def do(connection: asyncpg.Connection, settings: Settings) -> bool:
        async with connection.transaction():
            was = await shadowstore.unignore(connection, path)
            if was:
                await record(connection, settings, "shadow.unignored", reason, {"path": path})
        return was

    if not _change(run, do):
        refuse("It is not ignored: banyan shadow ignored shows what is.")
    if as_json:
        out.print_json(json.dumps({"path": path}))
    else:
        out.print(f"{path} decides again.", markup=False)


@app.command()
def ignored(as_json: Json = False, run: RunFolder = STACK_FILE.parent) -> None:
    """The columns that decide nothing today, until when, and why."""

    async def look(control: asyncpg.Pool, settings: Settings) -> Sequence[Ignored]:
        return await ShadowStore(control).ignored(datetime.now(UTC))

    found = _ask(run, look)
    rows = [
        {"path": one.path, "until": one.until.isoformat(), "who": one.who, "reason": one.reason}
        for one in found
    ]
    if as_json:
        out.print_json(json.dumps({"items": rows}))
    elif not rows:
        out.print("nothing")
    else:
        table = Table(*rows[0], box=None)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row.values()))
        out.print(table)


# --- what is asked for


def _moment(text: str) -> datetime:
    ago = _AGO.fullmatch(text)
    if ago:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        refuse("--since is 90m, 24h, 7d, or a moment as 2026-10-01T12:00.")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _routes(text: str) -> Sequence[Exposed]:
    found = [one for one in exposed() if text in (one.route, one.entity)]
    if not found:
        known = dict.fromkeys(one.entity for one in exposed())
        refuse(
            f"There is no such route. Entities: {', '.join(known)}.",
            "Routes are named as in a report: /v2/lab-orders or /v2/lab-orders/{key}.",
        )
    return found


def _field(text: str | None, wanted: Sequence[Exposed] | None) -> str | None:
    if text is None:
        return None
    if wanted is None:
        refuse("--field goes with --route.")
    if text == ANSWER:
        return WHOLE
    columns = _columns(wanted[0].entity)
    if text not in columns:
        refuse(f"{wanted[0].entity} shows no such column. It shows: {', '.join(columns)}")
    return text


def _columns(entity: str) -> Sequence[str]:
    """What its routes show to anybody; empty if it has none."""
    found = (c for r in resources() if r.entity == entity for c in r.columns(staff=True))
    return list(dict.fromkeys(column.target for column in found))


def _known(path: str) -> None:
    entity, _, column = path.partition(".")
    columns = _columns(entity)
    if not columns:
        entities = dict.fromkeys(one.entity for one in exposed())
        refuse(f"PATH is an entity and a column. Entities that have a route: {', '.join(entities)}")
    if column not in columns:
        refuse(f"{entity} shows no such column. It shows: {', '.join(columns)}")


def _need(reason: str) -> None:
    if not reason.strip() or len(reason) > _LONGEST_REASON:
        refuse(f"Say why: --reason, of at most {_LONGEST_REASON} letters.")


# --- steps


async def _add_up(
    store: ShadowStore, sums: Sums, since: datetime, route: str | None, release: str | None
) -> None:
    """Day by day: a month of it would be too much at once."""
    now = datetime.now(UTC)
    start = max(since, now - timedelta(days=KEPT_DAYS + 1))
    while start <= now:
        end = start + timedelta(days=1)
        for one in await store.counts(start, route=route, until=end):
            if release in (None, one.release):
                sums.add(one)
        start = end


def _ask(run: Path, do: Callable[[asyncpg.Pool, Settings], Awaitable[T]]) -> T:
    async def asked(settings: Settings) -> T:
        dsn = settings.need_secret("control_database_url")
        async with pool_for(dsn, name="banyan shadow", size=1) as pool:
            return await do(pool, settings)

    return _ended(run, asked)


def _change(run: Path, do: Callable[[asyncpg.Connection, Settings], Awaitable[T]]) -> T:
    async def changed(settings: Settings) -> T:
        connection = await asyncpg.connect(
            settings.need_secret("control_database_url"),
            server_settings={"application_name": "banyan shadow"},
        )
        try:
            return await do(connection, settings)
        finally:
            await connection.close()

    return _ended(run, changed)


def _ended(run: Path, do: Callable[[Settings], Awaitable[T]]) -> T:
    async def done() -> T:
        return await do(run_settings(run, _NAMES))

    try:
        return asyncio.run(done())
    except SettingsError as error:
        refuse(*error.problems)
    except (*POSTGRESQL, StoreUnavailable) as error:
        fail(f"The control database cannot be used ({type(error).__name__}).")
