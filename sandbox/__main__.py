"""`python -m sandbox`: a fresh world each time, until SIGTERM or SIGINT. `banyan up` is the friendly way to it.

Events are JSON lines on standard output; `.run/stack.json` says where everything is. Exit codes: 0 stopped as asked,
1 something did not start, 2 wrong usage, 3 refused.
"""

import argparse
import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import structlog

from runtime import logs
from runtime.lockfile import hold
from runtime.settings import load as load_settings
from runtime.settingserror import SettingsError
from runtime.stack import STACK_FILE
from sandbox import steps
from sandbox.children import ChildDied, ChildSilent
from sandbox.engines import EngineMissing
from sandbox.engines.postgres import remove
from sandbox.leash import PR_SET_PDEATHSIG
from sandbox.seed.dataset import DEFAULT_SCALE, DEFAULT_SEED, SMALLEST_SCALE
from sandbox.seed.people import PEOPLE
from sandbox.supabase.keys import Keyring
from sandbox.supervisor import Supervisor
from sandbox.tokens import sample_tokens
from sandbox.world import PROGRAMS, World, design, processes
from sandbox.world import steps as world_steps

DONE, FAILED, REFUSED = 0, 1, 3

log = structlog.get_logger("sandbox")


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    logs.configure("sandbox")
    run: Path = options.run.absolute()
    run.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = hold(run / "sandbox.lock")
    if lock is None:
        log.error("sandbox.refused", reason="a sandbox already runs here: banyan down stops it")
        return REFUSED
    with lock:
        if options.parent and not die_with(options.parent):
            return FAILED
        try:
            clear(run)
            world = design(
                load_settings(profile="sandbox"),
                run=run,
                scale=options.scale,
                seed=options.seed,
                only=options.only,
                durable=options.durable,
            )
        except (SettingsError, EngineMissing) as problem:
            log.error("sandbox.refused", reason=str(problem))  # noqa: TRY400 - its text is ours and names no value
            return REFUSED
        return asyncio.run(live(world))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument(
        "--scale", type=int, default=DEFAULT_SCALE, help="patients in the legacy database"
    )
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help="another seed gives other rows"
    )
    parser.add_argument(
        "--run", type=Path, default=STACK_FILE.parent, help="folder of logs, data and stack.json"
    )
    parser.add_argument(
        "--parent", type=int, default=0, help="stop when this process, our parent, ends"
    )
    parser.add_argument(
        "--durable", action="store_true", help="PostgreSQL syncs what it writes, as in production"
    )
    parser.add_argument(
        "--only",
        type=lambda names: [name for name in names.split(",") if name],
        metavar="NAMES",
        help="start these programs only, comma separated; '': engines and data alone",
    )
    options = parser.parse_args(argv)
    if options.scale < SMALLEST_SCALE:
        parser.error(f"--scale is at least {SMALLEST_SCALE}")
    unknown = set(options.only or ()) - {program.name for program in PROGRAMS}
    if unknown:
        parser.error(f"--only: there is no program {', '.join(sorted(unknown))}")
    return options


async def live(world: World) -> int:
    """Start everything, keep it running until a signal asks to stop, and leave nothing running."""
    path = world.run / STACK_FILE.name
    stack = world.stack(pid=os.getpid(), started_at=datetime.now(UTC).isoformat(timespec="seconds"))

    def write() -> None:
        now = {"ready": True, "processes": processes(supervisor), **signed_in}
        stack.model_copy(update=now).write(path)

    signed_in: dict[str, dict[str, str]] = {}

    supervisor = Supervisor(changed=write)
    stop_signals_do(cast("asyncio.Task[int]", asyncio.current_task()).cancel)
    try:
        stack.write(path)
        await steps.run(world_steps(world, supervisor))
        signed_in |= sign_in(world)
        supervisor.watch()
        write()
        log.info("sandbox.ready", count=len(supervisor.kept))
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return DONE  # nobody but a stop signal cancels this task
    except (steps.StepFailed, ChildDied) as failure:
        report(failure)
    finally:
        stop_signals_do(lambda: None)
        log.info("sandbox.stopping")
        await supervisor.stop()
        path.unlink(missing_ok=True)
        log.info("sandbox.stopped")
    return FAILED


def sign_in(world: World) -> dict[str, dict[str, str]]:
    """Tokens of the sample users and of the operators, if the stand-in is ours to sign for."""
    if "legacy" not in world.ports:
        return {}
    keys = Keyring.open(world.standin, world.urls["legacy"])
    tokens = sample_tokens(keys, PEOPLE)
    return {
        "tokens": {person.name: tokens[person.name] for person in PEOPLE if not person.operator},
        "operators": {person.operator: tokens[person.name] for person in PEOPLE if person.operator},
    }


def stop_signals_do(action: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, action)


def report(failure: steps.StepFailed | ChildDied) -> None:
    """Log what did not come up, and the file to look into."""
    cause = failure.__cause__ if isinstance(failure, steps.StepFailed) else failure
    task = failure.name if isinstance(failure, steps.StepFailed) else failure.command.name
    if isinstance(cause, ChildDied | ChildSilent):
        log.error("sandbox.failed", task=task, reason=str(cause), file=str(cause.command.log))
    else:
        log.error("sandbox.failed", task=task, exc_info=cause)


def die_with(parent: int) -> bool:
    """Have the kernel send us SIGTERM when `parent` ends; False if it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    return os.getppid() == parent


def clear(run: Path) -> None:
    """Remove what an earlier world left: data, logs, switches. The log of the process that started us stays."""
    for path in (run / "data").glob("*"):
        remove(path)
    for path in (
        *run.glob("*.log"),
        run / "stack.json",
        run / "panic",
        run / "flags.snapshot.json",
    ):
        if path.name != "sandbox.log":
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
