"""`banyan worker NAME...`: the movers, in the foreground, over the running sandbox or the environment's engines."""

import asyncio
import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.outcome import refuse
from cli.run_settings import run_settings
from migration.app import NAMES, run_worker
from runtime.eventlog.errors import PartitionMismatch
from runtime.logs import configure
from runtime.settings import Settings
from runtime.settingserror import SettingsError
from runtime.stack import STACK_FILE

Name = StrEnum("Name", {name: name for name in NAMES})  # type: ignore[misc]

_NAMES = (
    "PROFILE",
    "LEGACY_DATABASE_URL",
    "LEGACY_CONTROL_DATABASE_URL",
    "SERVICES_APPLY_DATABASE_URL",
    "CONTROL_DATABASE_URL",
    "REDIS_URL",
    "FIELD_KEYS",
    "EVIDENCE_KEYS",
)
"""What a worker takes from the sandbox."""


def worker(
    names: Annotated[list[Name], typer.Argument(help="Which of them.", metavar="NAME...")],
    run: Annotated[Path, typer.Option("--run", help="Folder of the sandbox.", hidden=True)] = (
        STACK_FILE.parent
    ),
) -> None:
    """Run workers until Ctrl-C: mirror, relay, sync-backfill, keeper. Several in one process end together."""
    try:
        settings = run_settings(run, _NAMES)
    except SettingsError as error:
        refuse(*error.problems)
    configure("worker", level=settings.log_level)
    reasons: list[str] = []
    try:
        asyncio.run(_run(sorted({name.value for name in names}), settings))
    except* (SettingsError, PartitionMismatch) as group:
        reasons = [str(error) for error in group.exceptions]
    if reasons:
        refuse(*dict.fromkeys(reasons))


async def _run(names: list[str], settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(run_worker(name, settings, stopping))
