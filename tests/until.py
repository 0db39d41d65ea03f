"""Waiting for something that another process does: poll with a deadline, never sleep a guess."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_PAUSE_SECONDS = 0.02


def until(condition: Callable[[], object], *, within: float = 60.0) -> None:
    """Return once the condition holds; AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s"
        time.sleep(_PAUSE_SECONDS)


async def until_async(condition: Callable[[], Awaitable[object]], *, within: float = 60.0) -> None:
    """`until` for a condition that is awaited."""
    deadline = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < deadline, f"not within {within:g} s"
        await asyncio.sleep(_PAUSE_SECONDS)
