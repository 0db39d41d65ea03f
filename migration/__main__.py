"""`python -m migration NAME [--alive]`: one process of the movers; with --alive only whether one lives on this machine."""

import argparse
import asyncio
import signal
import sys

from migration.app import NAMES, is_alive, run_worker
from runtime import failpoint
from runtime.eventlog.errors import PartitionMismatch
from runtime.flagstore import StoreUnavailable
from runtime.logs import configure
from runtime.settings import Settings, load
from runtime.settingserror import SettingsError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m migration", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--alive", action="store_true", help="exit 0 if one lives here, else 1")
    given = parser.parse_args()
    try:
        settings = load()
        if given.alive:
            return 0 if asyncio.run(_lives(given.name, settings)) else 1
        configure(given.name, level=settings.log_level)
        failpoint.arm(settings.failpoint)
        asyncio.run(_run(given.name, settings))
    except SettingsError as error:
        sys.stderr.writelines(f"{given.name}: {problem}\n" for problem in error.problems)
        return 2
    except PartitionMismatch as error:
        sys.stderr.write(f"{given.name}: {error}\n")
        return 2
    return 0


async def _lives(name: str, settings: Settings) -> bool:
    try:
        return await is_alive(name, settings)
    except StoreUnavailable:
        return False


async def _run(name: str, settings: Settings) -> None:
    """Until SIGTERM or SIGINT; then what is under way is finished."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await run_worker(name, settings, stopping)


if __name__ == "__main__":
    sys.exit(main())
