"""Background tasks that are named, kept and watched.

The event loop holds tasks by weak reference only, and a task that dies unseen prints its exception (which may
hold patient data) when it is collected. So nothing else calls `asyncio.create_task` (ruff bans it).
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog

log = structlog.get_logger("tasks")

T = TypeVar("T")

_ASK_AGAIN_SECONDS = 1.0

_kept: set[asyncio.Task[Any]] = set()


def spawn(
    work: Coroutine[Any, Any, T],
    *,
    name: str,
    on_death: Callable[[BaseException], None] | None = None,
) -> asyncio.Task[T]:
    """Run `work` beside the caller. It is kept until done; if it raises, that is logged by class and place,
    and `on_death` is told (a process whose side task is vital ends itself there). Cancelling is no death."""
    task = asyncio.create_task(work, name=name)
    _kept.add(task)

    def done(task: asyncio.Task[T]) -> None:
        _kept.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("task.died", task=name, exc_info=error)
            if on_death is not None:
                on_death(error)

    task.add_done_callback(done)
    return task


async def finished(work: Coroutine[Any, Any, T]) -> T:
    """`work` to its end, also if the caller is cancelled meanwhile; that goes on behind it.

    For a statement of a few milliseconds in a task that is stopped at any time: cancelled half way it would cost its connection.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):  # `stop` asks again
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen: nobody waits for it any more
        raise


async def stop(*tasks: asyncio.Task[Any]) -> None:
    """Cancel and wait until each has really ended.

    Asks again every second: `wait_for` of Python 3.11 swallows a cancellation that comes as its work is done (asyncpg).
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_ASK_AGAIN_SECONDS)
