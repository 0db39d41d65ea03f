"""A read that waits for a row's next version: `Prefer: wait=N` with `If-None-Match` (decisions.md 8).

While it waits it holds nothing of the database, and whoever leaves is not waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from routes.asked import AskedItem
from routes.key import write_key
from runtime.tasks import spawn, stop
from services.changes import Changes, Waiter
from services.errors import Busy
from services.item import item_response
from services.snapshot import Item

CLIENT_GONE = 499
"""Nobody sees it; the log does."""


async def next_version(
    request: Request,
    asked: AskedItem,
    look: Callable[[], Awaitable[Item]],
    known: str,
    changes: Changes,
) -> Response:
    """The row once it is not in a `known` version, else 304 after the wished seconds. Raises what `look` raises.

    Where too many wait already the wish is not fulfilled: the answer comes at once, without `Preference-Applied`.
    """
    asset = asked.resource.asset
    with changes.waiter(f"{asset.service}.{asset.target}", write_key(asked.key)) as waiter:
        if waiter is None:
            return item_response(await look(), known)
        leaving = spawn(_left(request), name="longpoll.left")
        try:
            response = await _awaited(asked, look, known, waiter, leaving)
        finally:
            await stop(leaving)
    response.headers["preference-applied"] = f"wait={asked.wait}"
    return response


async def _awaited(
    asked: AskedItem,
    look: Callable[[], Awaitable[Item]],
    known: str,
    waiter: Waiter,
    leaving: asyncio.Task[None],
) -> Response:
    loop = asyncio.get_running_loop()
    until = loop.time() + asked.wait
    item = await look()
    while True:
        response = item_response(item, known)
        left = until - loop.time()
        if response.status_code != 304 or left <= 0:
            return response
        await _told_or_left(waiter, left, leaving)
        if leaving.done():
            return Response(status_code=CLIENT_GONE)
        try:
            item = await look()
        except Busy:
            # All who wait for this row are told at once, and there are fewer connections: queue up again.
            waiter.tell()


async def _told_or_left(waiter: Waiter, seconds: float, leaving: asyncio.Task[None]) -> None:
    told = spawn(waiter.wait(seconds), name="longpoll.told")
    try:
        await asyncio.wait((told, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await stop(told)


async def _left(request: Request) -> None:
    """Returns when the client has gone; a body that a GET may have is not looked at."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
