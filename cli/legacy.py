"""`banyan legacy prepare|revert`: what the migration needs on the legacy database, installed or taken off."""

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer

from cli.outcome import fail, out, refuse
from migration.legacy import install
from runtime.settingserror import SettingsError
from runtime.settingsources import read_secret
from runtime.stack import STACK_FILE, Stack

T = TypeVar("T")

app = typer.Typer(help="The legacy database.", no_args_is_help=True)

DsnFile = Annotated[
    Path | None,
    typer.Option(
        help="File (mode 0600) with the DSN of the role that owns the tables; default: the running sandbox."
    ),
]
RunFolder = Annotated[Path, typer.Option("--run", help="Folder of the sandbox.", hidden=True)]
DryRun = Annotated[bool, typer.Option(help="Say what would be done, and change nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def prepare(
    dsn_file: DsnFile = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Install the support for the migration. Idempotent; a busy table is tried again."""
    dsn = _owner_dsn(dsn_file, run)
    if dry_run:
        _show_state(_run(install.inspect(dsn)), as_json)
        return
    notices = _run(install.prepare(dsn))
    _show_state(_run(install.inspect(dsn)), as_json, notices)


@app.command()
def revert(
    dsn_file: DsnFile = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Take everything off that `prepare` installed; rows stay. Stop connectors and workers before."""
    dsn = _owner_dsn(dsn_file, run)
    if dry_run:
        _show_state(_run(install.inspect(dsn)), as_json)
        return
    notices = _run(install.revert(dsn))
    _show_state(_run(install.inspect(dsn)), as_json, notices)


def _owner_dsn(dsn_file: Path | None, run: Path) -> str:
    if dsn_file is not None:
        try:
            return read_secret(dsn_file)
        except SettingsError as error:
            refuse(*error.problems)
    try:
        stack = Stack.read(run / STACK_FILE.name)
    except FileNotFoundError:
        refuse(
            "No sandbox runs here, so the database must be named: --dsn-file FILE, or start one with banyan up."
        )
    if "legacy" not in stack.databases:
        refuse(
            "The sandbox uses a legacy database of its own project: name the owner's DSN with --dsn-file FILE."
        )
    return stack.databases["legacy"]


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except install.LegacyError as error:
        if error.refused:
            refuse(str(error))
        fail(str(error))
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"The legacy database cannot be reached ({type(error).__name__}).")


def _show_state(state: install.State, as_json: bool, notices: list[str] | None = None) -> None:
    if as_json:
        answer = {
            "prepared": state.prepared,
            "missing": state.missing,
            "installed": state.installed,
        }
        out.print_json(json.dumps({**answer, "notices": notices or []}))
        return
    for notice in notices or []:
        out.print(f"notice: {notice}", markup=False)
    out.print(f"prepared tables: {', '.join(state.prepared) or 'none'}")
    if state.missing:
        out.print(f"not prepared: {', '.join(state.missing)}")
    out.print(f"things of ours in the database: {state.installed}")
