"""Steps that run as early as the ones they need are done, side by side."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

log = structlog.get_logger("sandbox")


@dataclass(frozen=True, kw_only=True)
class Step:
    """`after` names the steps that must be done before."""

    name: str
    run: Callable[[], Awaitable[object]]
    after: tuple[str, ...] = ()


class StepFailed(Exception):
    """The first step that failed, by name; its exception is the cause. The others were cancelled."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} failed")
        self.name = name


def check(steps: Sequence[Step]) -> None:
    """Raises ValueError for a name that is used twice, unknown, or waits for itself, be it by way of others."""
    names = {step.name for step in steps}
    if len(names) < len(steps):
        raise ValueError("two steps have the same name")
    settled: set[str] = set()
    waiting = list(steps)
    while waiting:
        ready = [step for step in waiting if settled.issuperset(step.after)]
        if not ready:
            stuck = ", ".join(f"{step.name} (after {', '.join(step.after)})" for step in waiting)
            raise ValueError(f"these can never start: {stuck}")
        settled.update(step.name for step in ready)
        waiting = [step for step in waiting if step.name not in settled]


async def run(steps: Sequence[Step]) -> None:
    """Run all. Raises StepFailed when one fails."""
    check(steps)
    done = {step.name: asyncio.Event() for step in steps}

    async def take(step: Step) -> None:
        for name in step.after:
            await done[name].wait()
        began = time.monotonic()
        try:
            await step.run()
        except Exception as error:
            raise StepFailed(step.name) from error
        log.info("step.done", task=step.name, seconds=round(time.monotonic() - began, 2))
        done[step.name].set()

    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(take(step), name=step.name)
    except ExceptionGroup as failures:
        first = failures.exceptions[0]  # `take` raises StepFailed and nothing else
        raise first from first.__cause__
