"""Waiting for a row's next version: nothing that happens while one looks is lost, and nobody stays behind."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from starlette.requests import Request
from starlette.responses import Response

from routes import resources
from routes.asked import AskedItem
from routes.refused import NotFound
from services.changes import Changes
from services.errors import Busy
from services.longpoll import CLIENT_GONE, next_version
from services.snapshot import Item
from tests.until import until_async

pytestmark = pytest.mark.unit

KEY = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
(ORDERS,) = (resource for resource in resources() if resource.path == "/lab-orders")
CHANNEL = "diagnostics.lab_order"
OLD, NEW = (
    Item(text=f'{{"n":{n}}}', stamp=f"2026-01-01T00:00:0{n}+00:00", origin="service")
    for n in (0, 1)
)
KNOWN = '"1767225600000000.service"'
"""The tag of OLD."""


class Row:
    """A row that changes in the middle of the first looks, behind the moment at which they saw it."""

    def __init__(self, seen: Sequence[Item | Exception], changed: Callable[[], None]) -> None:
        self.seen = list(seen)
        self.looks = 0
        self._changed = changed

    async def look(self) -> Item:
        self.looks += 1
        item = self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]
        if self.looks == 1:
            self._changed()
        if isinstance(item, Exception):
            raise item
        return item


def request(*, leaves: bool = False) -> Request:
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        if messages:
            return messages.pop()
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http", "method": "GET", "headers": []}, receive)


def changes(*, most: int = 10, listening: bool = True) -> Changes:
    found = Changes("", (), name="test", most=most)
    found.listening = listening
    return found


async def asked(row: Row, waiters: Changes, *, wait: int = 25, leaves: bool = False) -> Response:
    async with asyncio.timeout(20):
        return await next_version(
            request(leaves=leaves),
            AskedItem(resource=ORDERS, key=(KEY,), wait=wait),
            row.look,
            KNOWN,
            waiters,
        )


def test_the_known_tag_is_the_old_one() -> None:
    assert KNOWN.startswith('"1767225600')


async def test_another_version_is_answered_at_once() -> None:
    row = Row([NEW], lambda: None)
    found = await asked(row, changes())
    assert (found.status_code, found.body, row.looks) == (200, b'{"n":1}', 1)


async def test_a_change_during_the_look_is_not_lost() -> None:
    waiters = changes()
    row = Row([OLD, NEW], lambda: waiters._changed(None, 0, CHANNEL, KEY))
    found = await asked(row, waiters)
    assert (found.status_code, found.body, row.looks) == (200, b'{"n":1}', 2)
    assert found.headers["preference-applied"] == "wait=25"
    assert waiters.waiting == 0


async def test_a_change_of_another_row_or_without_effect_ends_no_wait() -> None:
    waiters = changes()

    def changed() -> None:
        waiters._changed(None, 0, CHANNEL, KEY)
        waiters._changed(None, 0, CHANNEL, KEY.replace("6", "7"))
        waiters._changed(None, 0, "diagnostics.other", KEY)

    row = Row([OLD], changed)
    found = await asked(row, waiters, wait=1)
    assert (found.status_code, found.headers["preference-applied"]) == (304, "wait=1")
    assert row.looks == 3


async def test_without_the_listening_connection_one_looks_again() -> None:
    row = Row([OLD, NEW], lambda: None)
    found = await asked(row, changes(listening=False))
    assert (found.status_code, row.looks) == (200, 2)


@pytest.mark.parametrize("now", [True, False])
async def test_who_waits_looks_again_when_the_connection_comes_or_goes(now: bool) -> None:
    waiters = changes(listening=not now)
    row = Row([OLD, NEW], lambda: waiters._heard(listening=now))
    assert (await asked(row, waiters)).status_code == 200
    assert waiters.listening == now


async def test_who_leaves_is_not_waited_for() -> None:
    waiters = changes()
    row = Row([OLD], lambda: None)
    found = await asked(row, waiters, leaves=True)
    assert (found.status_code, row.looks, waiters.waiting) == (CLIENT_GONE, 1, 0)


async def test_a_full_pool_ends_no_wait_but_the_first_look() -> None:
    waiters = changes()
    row = Row([OLD, Busy(), Busy(), NEW], lambda: waiters._changed(None, 0, CHANNEL, KEY))
    assert (await asked(row, waiters)).status_code == 200
    with pytest.raises(Busy):
        await asked(Row([Busy()], lambda: None), waiters)


async def test_a_row_that_goes_ends_the_wait() -> None:
    waiters = changes()
    row = Row([OLD, NotFound()], lambda: waiters._changed(None, 0, CHANNEL, KEY))
    with pytest.raises(NotFound):
        await asked(row, waiters)
    assert waiters.waiting == 0


async def test_above_the_bound_the_answer_comes_at_once() -> None:
    row = Row([OLD], lambda: None)
    found = await asked(row, changes(most=0))
    assert (found.status_code, row.looks) == (304, 1)
    assert "preference-applied" not in found.headers


def all_have_looked(rows: Sequence[Row], times: int) -> Callable[[], Awaitable[bool]]:
    async def looked() -> bool:
        return all(row.looks >= times for row in rows)

    return looked


async def test_every_waiter_of_a_row_is_told_and_none_is_kept() -> None:
    waiters = changes()
    rows = [Row([OLD, OLD, NEW], lambda: None) for _ in range(5)]
    asking = asyncio.gather(*(asked(row, waiters) for row in rows))
    for looks in (1, 2):
        await until_async(all_have_looked(rows, looks))
        waiters._changed(None, 0, CHANNEL, KEY)
    assert {found.status_code for found in await asking} == {200}
    assert (waiters.waiting, waiters._waiters) == (0, {})
