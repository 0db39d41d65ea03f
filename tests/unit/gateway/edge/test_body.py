"""A body is kept up to its limit, or passed on as it comes; whoever cannot take more stops the client."""

import pytest

from gateway.edge.body import MOST_BYTES, Body, ClientGone
from routes.refused import TooLarge

pytestmark = pytest.mark.unit


class Client:
    """Whether it is stopped, and whether its body was asked for."""

    def __init__(self) -> None:
        self.stops: list[bool] = []
        self.wanted = 0

    def want(self) -> None:
        self.wanted += 1


def streamed(client: Client, announced: int = 0, most: int = 10 * MOST_BYTES) -> Body:
    return Body(
        announced=announced, wanted=client.want, streamed_most=most, hold=client.stops.append
    )


class Taker:
    """Takes so many parts before it is full."""

    def __init__(self, room: int = 1000) -> None:
        self.taken = b""
        self.room = room

    def take(self, data: bytes) -> bool:
        self.taken += data
        self.room -= 1
        return self.room > 0


async def test_it_is_passed_on_in_order_also_what_came_before() -> None:
    client, taker = Client(), Taker()
    body = streamed(client)
    body.feed(b"a")
    poured = body.pour(taker.take)
    body.feed(b"b")
    assert not poured.done()
    body.end()
    await poured
    assert (taker.taken, client.wanted, client.stops) == (b"ab", 1, [])


async def test_one_that_is_there_already_is_done_at_once() -> None:
    client, taker = Client(), Taker()
    body = streamed(client)
    body.feed(b"ab")
    body.end()
    await body.pour(taker.take)
    assert (taker.taken, client.wanted) == (b"ab", 0)


async def test_whoever_is_full_stops_the_client_until_it_can_take_more() -> None:
    client, taker = Client(), Taker(room=1)
    body = streamed(client)
    body.pour(taker.take)
    body.feed(b"a")
    assert (client.stops, body.held) == ([True], True)
    body.feed(b"b")  # was on its way
    taker.room = 5
    body.go_on()
    body.feed(b"c")
    assert (client.stops, body.held, taker.taken) == ([True, False], False, b"abc")


async def test_little_is_kept_while_nobody_takes_it() -> None:
    client, taker = Client(), Taker()
    body = streamed(client)
    body.feed(b"x" * MOST_BYTES)
    assert client.stops == [True]
    body.pour(taker.take)
    assert client.stops == [True, False]
    assert len(taker.taken) == MOST_BYTES


async def test_more_than_the_route_takes_is_refused_before_and_within() -> None:
    client, taker = Client(), Taker()
    with pytest.raises(TooLarge):
        streamed(client, announced=11, most=10)
    body = streamed(client, most=10)
    poured = body.pour(taker.take)
    body.feed(b"x" * 10)
    with pytest.raises(TooLarge):
        body.feed(b"x")
    with pytest.raises(TooLarge):
        await poured
    assert len(taker.taken) == 10


@pytest.mark.parametrize("before", [True, False])
async def test_a_client_that_leaves_leaves_half_a_body(before: bool) -> None:
    body, taker = streamed(Client()), Taker()
    body.feed(b"a")
    if before:
        body.fail(ClientGone())
    poured = body.pour(taker.take)
    body.fail(ClientGone())
    with pytest.raises(ClientGone):
        await poured


async def test_a_buffered_body_stays_small_on_every_route() -> None:
    with pytest.raises(TooLarge):
        Body(announced=MOST_BYTES + 1, wanted=Client().want)
    client = Client()
    body = streamed(client)
    body.feed(b"x" * MOST_BYTES)
    body.end()
    assert len(await body.read(MOST_BYTES)) == MOST_BYTES
    longer = streamed(client)
    longer.feed(b"x" * (MOST_BYTES + 1))
    with pytest.raises(TooLarge):
        await longer.read(MOST_BYTES)
