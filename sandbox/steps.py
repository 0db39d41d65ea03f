"""Steps that run as early as the ones they need are done, side by side."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from runtime.tasks import spawn, stop

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
    """Run all. Raises StepFailed when one fails.

    No TaskGroup: on Python 3.11 one that fails leaves its parent's count of cancellations raised, and on 3.11.2 every
    later `asyncio.timeout` of that task then lets a cancellation escape.
    """
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

    async def outcome(step: Step) -> StepFailed | None:
        try:
            await take(step)
        except StepFailed as failure:
            return failure
        return None

    left = {spawn(outcome(step), name=step.name) for step in steps}
    try:
        while left:
            ended, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            failures = [failure for task in ended if (failure := task.result())]
            if failures:
                raise failures[0]
    finally:
        await stop(*left)
