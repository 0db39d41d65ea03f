"""`banyan trace CORRELATION_ID`: everything that is known of one request, in one place."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import asyncpg
import typer
from rich.table import Table

from cli.control_client import Json, RunFolder
from cli.operator_audit import record
from cli.outcome import fail, notes, out, refuse
from cli.run_settings import run_settings
from migration.trace.inquiry import Bounds, inquire
from migration.trace.timeline import Line, Row, Timeline
from migration.trace.verdict import State, Write, writes
from runtime.postgres import POSTGRESQL
from runtime.settings import Settings
from runtime.settingserror import SettingsError
from runtime.stack import STACK_FILE

_FORM = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
"""What either side's triggers take; the gateway's own ids are narrower."""
_OUT_OF_TIME = "57014"
_NAMES = (
    *("PROFILE", "CONTROL_DATABASE_URL", "AUDIT_KEYS", "REDIS_URL", "ACCESS_LOG_FOLDER"),
    *("LEGACY_DATABASE_URL", "SERVICES_APPLY_DATABASE_URL"),
)
_SAID = {
    State.SETTLED: "settled",
    State.OPEN: "on its way",
    State.REFUSED: "not applied",
    State.DIVERGED: "has not arrived",
    State.OVERWRITTEN: "overwritten by a version that had not seen it; kept sealed",
    State.SUPERSEDED: "a later version has taken its place",
    State.ALONE: "on one side alone, and nothing that was found brings it on",
    State.GONE: "no row carries it any more",
}


def trace(
    correlation_id: Annotated[str, typer.Argument(help="X-Correlation-ID of the request.")],
    since: Annotated[
        datetime | None,
        typer.Option(help="UTC; how far back access records and log are read. Default: an hour."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="Longest time of one statement.")
    ] = 2.0,
    entries: Annotated[
        int, typer.Option(min=1, help="The most entries of one topic of the event log.")
    ] = 100_000,
    keys: Annotated[bool, typer.Option("--keys", help="With the rows' ids; audited.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it is kept in the audit chain.")] = "",
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """What happened to one request: who answered it, what it wrote where, and whether the other side has it.

    Exit 1 if nothing is known of it, or if not everything could be asked.
    """
    if _FORM.fullmatch(correlation_id) is None:
        refuse("A correlation id has 1 to 128 letters, digits, or one of . _ : -")
    if keys and not reason:
        refuse("Whoever sees ids says why: --reason.")
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    bounds = Bounds(
        since=hour_ago if since is None else since.replace(tzinfo=UTC),
        seconds=seconds,
        entries=entries,
    )
    try:
        settings = run_settings(run, _NAMES)
        if keys:
            asyncio.run(_record(settings, correlation_id, reason))
        found = asyncio.run(inquire(settings, correlation_id, bounds))
    except SettingsError as error:
        refuse(*error.problems)
    if as_json:
        out.print_json(
            json.dumps(_json(correlation_id, found, keys=keys), default=datetime.isoformat)
        )
    else:
        _tell(found, keys=keys)
    _end(found)


async def _record(settings: Settings, correlation_id: str, reason: str) -> None:
    """Before anything is shown. Ends the command if it cannot be kept."""
    try:
        connection = await asyncpg.connect(
            settings.need_secret("control_database_url"),
            server_settings={"application_name": "banyan trace"},
        )
        try:
            async with connection.transaction():
                subject = {"correlation_id": correlation_id}
                await record(connection, settings, "trace.keys_shown", reason, subject)
        finally:
            await connection.close()
    except POSTGRESQL as error:
        fail(
            f"The audit chain cannot be written ({type(error).__name__}): without --keys the rest is shown."
        )


# --- what is told


def _tell(found: Timeline, *, keys: bool) -> None:
    numbers = found.numbers
    if found.lines:
        table = Table("when (UTC)", "where", "what", "row", "", box=None)
        for line in found.lines:
            row = _row(line.entity, line.row, numbers, keys=keys)
            facts = " ".join(f"{name}={value}" for name, value in line.facts.items())
            what = f"{line.what} {line.word}".rstrip()
            table.add_row(_moment(line.at), line.where, what, row, facts)
        out.print(table)
        for write in writes(found.lines):
            out.print(_sentence(write, numbers, keys=keys), markup=False)
    for one in found.looked:
        if not one.trouble:
            notes.print(f"looked at: {one.where}: {one.extent}", markup=False)


def _sentence(write: Write, numbers: Mapping[Row, int], *, keys: bool) -> str:
    named = None if write.key is None else (write.entity, write.key)
    parts = [f"written on {write.origin} at {_moment(write.written_at)}"]
    if write.written_at is None:
        parts = [f"announced for {write.origin}"]
    if write.arrived_at is not None:
        lag = "" if write.lag_ms is None else f" (lag {write.lag_ms:.1f} ms, {write.measure})"
        parts.append(f"on {write.origin.other} at {_moment(write.arrived_at)}{lag}")
    reason = f" ({write.reason})" if write.reason else ""
    won = "; it has overwritten one that it had not seen" if write.won else ""
    row = _row(write.entity, named, numbers, keys=keys)
    return f"{row}: {', '.join(parts)}: {_SAID[write.state]}{reason}{won}"


def _row(entity: str, row: Row | None, numbers: Mapping[Row, int], *, keys: bool) -> str:
    if row is None:
        return entity
    return f"{entity} {row[1]}" if keys else f"{entity} #{numbers[row]}"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _json(correlation_id: str, found: Timeline, *, keys: bool) -> dict[str, Any]:
    numbers = found.numbers
    return {
        "correlation_id": correlation_id,
        "lines": [_member(line, line.row, numbers, keys=keys) for line in found.lines],
        "writes": [
            _member(
                write, None if write.key is None else (write.entity, write.key), numbers, keys=keys
            )
            for write in writes(found.lines)
        ],
        "looked": [asdict(one) for one in found.looked],
        "partial": bool(found.missing),
    }


def _member(
    one: Line | Write, row: Row | None, numbers: Mapping[Row, int], *, keys: bool
) -> dict[str, Any]:
    members = {name: getattr(one, name) for name in one.__dataclass_fields__ if name != "key"}
    members["row"] = None if row is None else numbers[row]
    if "facts" in members:
        members["facts"] = dict(members["facts"])
    return members | ({"key": row and row[1]} if keys else {})


def _end(found: Timeline) -> None:
    reasons = []
    if not found.lines:
        reasons.append("Nothing is known of it.")
    elif not writes(found.lines):
        notes.print("No write of it is known.")
    if found.missing:
        reasons += ["Not everything could be asked:", *_missing(found)]
    if reasons:
        fail(*reasons)


def _missing(found: Timeline) -> Sequence[str]:
    return [
        f"  {one.where}: {one.extent}: {one.trouble}"
        + (" (out of time; --seconds gives more)" if one.trouble == _OUT_OF_TIME else "")
        for one in found.missing
    ]
