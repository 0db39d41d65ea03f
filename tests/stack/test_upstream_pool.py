"""The pool over real sockets: who gets which connection, when one is given up, and what is tried again."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from runtime.upstream.breaker import Breaker, State
from runtime.upstream.errors import (
    UpstreamBroke,
    UpstreamBusy,
    UpstreamOpen,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from runtime.upstream.retry_budget import RetryBudget
from runtime.upstream.upstream import Upstream
from tests.fakes.clock import Clock
from tests.raw_upstream import OK, Heard, Peer, answering, pool_tasks, serving, soon

pytestmark = pytest.mark.stack

CLOSES = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
SECRET = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"


def no_retries() -> RetryBudget:
    return RetryBudget(clock=Clock(), share=0, least=0)


# --- which connection


async def test_a_connection_is_used_again() -> None:
    async with serving(answering(OK)) as here:
        for _ in range(3):
            assert (await here.upstream.fetch("GET", b"/x")).body == b"ok"
        assert (here.upstream.connections, here.upstream.idle_connections) == (1, 1)
    assert len(here.peers) == 1
    assert len(here.requests) == 3


async def test_a_peer_that_says_close_is_closed() -> None:
    async with serving(answering(CLOSES)) as here:
        await here.upstream.fetch("GET", b"/x")
        assert here.upstream.connections == 0
        await soon(lambda: not here.open)


async def test_an_idle_connection_is_closed_in_time() -> None:
    async with serving(answering(OK), idle=0.05) as here:
        await here.upstream.fetch("GET", b"/x")
        assert here.upstream.connections == 1
        await soon(lambda: here.upstream.connections == 0)
        await soon(lambda: not here.open)


async def test_a_connection_that_nobody_waits_for_any_more_ages_too() -> None:
    async with serving(answering(OK), idle=0.05) as here:
        exchange = here.upstream.begin("GET", b"/x", (), Heard())
        exchange.cancel()
        await soon(lambda: len(here.peers) == 1)
        await soon(lambda: here.upstream.connections == 0)
    assert here.requests == []


async def test_the_youngest_idle_connection_is_taken_first() -> None:
    numbers: list[int] = []
    both = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            numbers.append(peer.number)
            if len(numbers) == 2:
                both.set()
            await both.wait()
            if b"/second" in request:
                await soon(lambda: here.upstream.idle_connections == 1)
            peer.send(OK)

    async with serving(script) as here:
        first = asyncio.gather(
            here.upstream.fetch("GET", b"/first"), here.upstream.fetch("GET", b"/second")
        )
        await first
        youngest = next(peer for peer in here.peers if b"/second" in peer.requests[0]).number
        for _ in range(3):
            await here.upstream.fetch("GET", b"/later")
    assert numbers[2:] == [youngest] * 3


# --- the bulkhead


async def test_no_more_connections_than_allowed_and_who_waits_is_served_in_turn() -> None:
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await release.wait()
            peer.send(OK)

    async with serving(script, connections=2, pool_wait=5.0) as here:
        order: list[int] = []

        async def one(number: int) -> None:
            await here.upstream.fetch("GET", b"/%d" % number)
            order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(one(number))
            await soon(lambda: len(here.requests) == 2)
            assert here.upstream.connections == 2
            release.set()
    assert len(here.peers) == 2
    assert sorted(order) == list(range(6))
    sent = [int(request.split(b" ")[1].removeprefix(b"/base/")) for request in here.requests]
    assert {sent[0], here.peers[1].requests[0].split(b" ")[1]} == {0, b"/base/1"}
    for peer in here.peers:
        numbers = [int(r.split(b" ")[1].removeprefix(b"/base/")) for r in peer.requests]
        assert numbers == sorted(numbers)


async def test_who_waits_too_long_is_told_so_and_who_leaves_the_queue_is_not_served() -> None:
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await release.wait()
            peer.send(OK)

    async with serving(script, connections=1, pool_wait=0.05) as here:
        first, late, left = Heard(), Heard(), Heard()
        here.upstream.begin("GET", b"/first", (), first)
        here.upstream.begin("GET", b"/late", (), late)
        here.upstream.begin("GET", b"/left", (), left).cancel()
        await soon(lambda: late.over)
        assert isinstance(late.error, UpstreamBusy)
        release.set()
        await soon(lambda: first.ended)
        await here.upstream.fetch("GET", b"/next")
    assert not left.over
    assert [request.split(b" ")[1] for request in here.requests] == [b"/base/first", b"/base/next"]


# --- no connection


async def test_an_unknown_host_is_unreachable() -> None:
    upstream = Upstream("nowhere", "http://no-such-host.invalid/", connect=5.0)
    with pytest.raises(UpstreamUnreachable):
        await upstream.fetch("GET", b"/x", deadline=10.0)
    await upstream.close()


async def test_a_name_that_cannot_be_asked_for_is_unreachable() -> None:
    upstream = Upstream("nowhere", f"http://{'a' * 70}.invalid/")
    with capture_logs() as logs, pytest.raises(UpstreamUnreachable):
        await upstream.fetch("GET", b"/x")
    await upstream.close()
    assert [entry["event"] for entry in logs] == ["upstream.connect_failed"]


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port where connections are neither accepted nor refused."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            waiting.append(one)
        yield port
        for one in waiting:
            one.close()


async def test_no_connection_within_the_time_is_unreachable(deaf_port: int) -> None:
    upstream = Upstream("deaf", f"http://127.0.0.1:{deaf_port}/", connections=2, connect=0.1)
    heard = [Heard() for _ in range(5)]
    for one in heard:
        upstream.begin("GET", b"/x", (), one)
        assert upstream.connections <= 2
    await soon(lambda: all(one.over for one in heard))
    assert isinstance(heard[0].error, UpstreamUnreachable)
    assert {type(one.error) for one in heard} <= {UpstreamUnreachable, UpstreamBusy}
    await upstream.close()
    assert upstream.connections == 0
    assert pool_tasks() == []


async def test_closing_while_connecting_leaves_nothing(deaf_port: int) -> None:
    upstream = Upstream("deaf", f"http://127.0.0.1:{deaf_port}/", connect=30.0)
    heard = Heard()
    upstream.begin("GET", b"/x", (), heard)
    await soon(pool_tasks)
    await upstream.close()
    assert isinstance(heard.error, UpstreamUnreachable)
    assert upstream.connections == 0
    assert pool_tasks() == []


async def test_refused_connections_keep_to_the_limit() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        port = taken.getsockname()[1]
        upstream = Upstream(
            "refused", f"http://127.0.0.1:{port}/", connections=3, pool_wait=20.0, deadline=20.0
        )
        most = 0
        heard = [Heard() for _ in range(10)]
        for one in heard:
            upstream.begin("GET", b"/x", (), one)
            most = max(most, upstream.connections)
        while not all(one.over for one in heard):
            most = max(most, upstream.connections)
            await asyncio.sleep(0)
    assert most == 3
    assert {type(one.error) for one in heard} <= {UpstreamUnreachable}
    await upstream.close()
    assert upstream.connections == 0


# --- deadlines and cancelling


@pytest.mark.parametrize(
    "options", [{"first_byte": 0.1, "deadline": 30.0}, {"deadline": 0.1}], ids=["first", "total"]
)
async def test_a_late_answer_on_a_kept_connection_reaches_nobody(
    options: dict[str, Any],
) -> None:
    late = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(OK)
        request = await peer.request()
        if b"/slow" in request:
            await late.wait()
            peer.send(SECRET)
        else:
            peer.send(OK)
        await peer.end()

    async with serving(script, **options) as here:
        await here.upstream.fetch("GET", b"/x")
        slow = Heard()
        here.upstream.begin("GET", b"/slow", (), slow)
        await soon(lambda: slow.over, within=10.0)
        assert isinstance(slow.error, UpstreamTimeout)
        assert here.upstream.connections == 0
        late.set()
        await soon(lambda: here.peers[0].gone)
        assert (await here.upstream.fetch("GET", b"/x")).body == b"ok"
    assert len(here.peers) == 2


async def test_a_body_that_stops_ends_at_the_total_deadline() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await peer.end()

    async with serving(script, first_byte=5.0, deadline=0.1) as here:
        heard = Heard()
        here.upstream.begin("GET", b"/x", (), heard)
        await soon(lambda: heard.over)
        assert isinstance(heard.error, UpstreamTimeout)
        assert (heard.status, bytes(heard.body)) == (200, b"half")
        await soon(lambda: not here.open)


async def test_once_the_head_is_there_only_the_total_deadline_counts() -> None:
    loop = asyncio.get_running_loop()

    async def script(peer: Peer) -> None:
        await peer.request()
        began = loop.time()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        await soon(lambda: loop.time() > began + 0.3)
        peer.send(b"k")

    async with serving(script, first_byte=0.1, deadline=20.0) as here:
        assert (await here.upstream.fetch("GET", b"/x")).body == b"ok"


async def test_a_cancelled_call_closes_its_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.end()

    async with serving(script) as here:
        calling = asyncio.ensure_future(here.upstream.fetch("GET", b"/x"))  # noqa: TID251 - awaited below
        await soon(lambda: here.requests)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert here.upstream.connections == 0
        await soon(lambda: not here.open)


# --- bytes that nobody asked for


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("GET", OK),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ],
    ids=["length", "204", "304", "head", "chunked"],
)
@pytest.mark.parametrize("stray", [SECRET, b"x", b"\r\n", b"0\r\n\r\n"])
@pytest.mark.parametrize("later", [False, True])
async def test_bytes_behind_an_answer_reach_nobody(
    method: str, answer: bytes, stray: bytes, later: bool
) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number > 1:
            peer.send(OK)
        elif later:
            peer.send(answer)
            await go_on.wait()
            peer.send(stray)
        else:
            peer.send(answer + stray)
        if peer.number == 1 and stray == b"\r\n" and not later:
            await (
                peer.request()
            )  # a line end in the same segment is nobody's, and nobody's business
            peer.send(OK)
        await peer.end()

    async with serving(script) as here:
        reply = await here.upstream.fetch(method, b"/x")
        assert reply.body in (b"", b"ok")
        if later:
            go_on.set()
            await soon(lambda: here.upstream.connections == 0)
        assert (await here.upstream.fetch("GET", b"/x")).body == b"ok"


async def test_a_stray_answer_that_waits_in_the_socket_is_seen_before_the_next_request() -> None:
    """Without an echo nothing but a look at the socket can tell it; the event loop has not brought it yet."""
    async with serving(answering(OK)) as here:
        await here.upstream.fetch("GET", b"/x")
        raw = here.peers[0].writer.get_extra_info("socket")
        with socket.socket(fileno=socket.dup(raw.fileno())) as bare:
            bare.setblocking(False)
            bare.send(SECRET)
            assert here.upstream.idle_connections == 1
            reply = await here.upstream.fetch("GET", b"/x")
        assert reply.body == b"ok"
    assert len(here.peers) == 2


async def test_a_connection_that_has_just_been_closed_does_not_get_a_write() -> None:
    async with serving(answering(OK)) as here:
        await here.upstream.fetch("GET", b"/x")
        raw = here.peers[0].writer.get_extra_info("socket")
        with socket.socket(fileno=socket.dup(raw.fileno())) as bare:
            bare.shutdown(socket.SHUT_WR)
            assert (await here.upstream.fetch("POST", b"/x", body=b"{}")).body == b"ok"
    assert [len(peer.requests) for peer in here.peers] == [1, 1]


@pytest.mark.parametrize("echo", [b"", b"x-correlation-id: other-one-1\r\n"])
async def test_an_answer_without_the_echo_is_nobodys(echo: bytes) -> None:
    wanted = b"abcdefgh-1"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%b\r\nok"
    mine = answer % (b"X-Correlation-ID: " + wanted + b"\r\n")
    async with serving(answering(mine, answer % echo, mine)) as here:
        assert (await here.upstream.fetch("GET", b"/x", echo=wanted)).status == 200
        with pytest.raises(UpstreamBroke):
            await here.upstream.fetch("GET", b"/x", echo=wanted)
        assert here.upstream.connections == 0
        assert (await here.upstream.fetch("GET", b"/x", echo=wanted)).status == 200


# --- a second attempt


async def closes_kept(peer: Peer) -> None:
    """Answers once, and closes when the next request comes, as a server does whose time is over."""
    await peer.request()
    peer.send(OK)
    await peer.request()
    if peer.number > 1:
        peer.send(OK)


async def test_a_kept_connection_that_was_closed_costs_no_retry_and_no_failure() -> None:
    breaker = Breaker(clock=Clock(), minimum=1)
    async with serving(closes_kept, retries=no_retries(), breaker=breaker) as here:
        await here.upstream.fetch("GET", b"/x")
        assert (await here.upstream.fetch("GET", b"/x")).body == b"ok"
        assert here.upstream.repeated == 1
    assert [len(peer.requests) for peer in here.peers] == [2, 1]
    assert breaker.state is State.CLOSED


async def test_the_second_attempt_does_not_trust_another_kept_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number <= 2:
            await soon(lambda: len(here.peers) == 2)
        peer.send(OK)
        await peer.request()
        if peer.number > 2:
            peer.send(OK)

    async with serving(script, retries=no_retries()) as here:
        await asyncio.gather(*(here.upstream.fetch("GET", b"/x") for _ in range(2)))
        assert here.upstream.idle_connections == 2
        assert (await here.upstream.fetch("GET", b"/x")).body == b"ok"
    assert len(here.peers) == 3


async def test_a_write_is_never_sent_twice() -> None:
    async with serving(closes_kept) as here:
        await here.upstream.fetch("GET", b"/x")
        with pytest.raises(UpstreamBroke):
            await here.upstream.fetch("POST", b"/x", body=b"{}")
    assert sum(request.startswith(b"POST") for request in here.requests) == 1


async def test_half_an_answer_on_a_kept_connection_is_a_failure_like_any_other() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(OK)
        await peer.request()
        peer.send(b"HTT")

    async with serving(script, retries=no_retries()) as here:
        await here.upstream.fetch("GET", b"/x")
        with pytest.raises(UpstreamBroke):
            await here.upstream.fetch("GET", b"/x")
    assert len(here.requests) == 2


async def resets(peer: Peer) -> None:
    await peer.request()
    peer.reset()


@pytest.mark.parametrize(
    ("method", "least", "sent"), [("GET", 1, 2), ("HEAD", 5, 2), ("GET", 0, 1), ("PUT", 5, 1)]
)
async def test_one_more_attempt_for_reads_within_the_budget(
    method: str, least: int, sent: int
) -> None:
    budget = RetryBudget(clock=Clock(), share=0, least=least)
    async with serving(resets, retries=budget) as here:
        with pytest.raises(UpstreamBroke):
            await here.upstream.fetch(method, b"/x")
        assert here.upstream.repeated == sent - 1
    assert len(here.requests) == sent


async def test_second_attempts_keep_to_the_limit_of_connections() -> None:
    most = 0

    async def script(peer: Peer) -> None:
        nonlocal most
        most = max(most, here.open)
        await peer.request()
        while peer.number > 2:
            peer.send(OK)
            await peer.request()
        peer.reset()

    async with serving(script, connections=1, pool_wait=10.0, deadline=10.0) as here:
        replies = await asyncio.gather(*(here.upstream.fetch("GET", b"/x") for _ in range(3)))
        assert [reply.body for reply in replies] == [b"ok"] * 3
        assert most == 1


async def test_when_everything_fails_the_upstream_gets_a_fifth_more() -> None:
    budget = RetryBudget(clock=Clock())
    breaker = Breaker(clock=Clock(), minimum=10_000)
    async with serving(resets, retries=budget, breaker=breaker) as here:
        for _ in range(100):
            with pytest.raises(UpstreamBroke):
                await here.upstream.fetch("GET", b"/x")
    assert 115 <= len(here.requests) <= 120


# --- the circuit breaker


async def test_an_open_breaker_leaves_the_upstream_alone_and_tries_it_once() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock, minimum=2, open_for=1.0)
    healthy = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            if not healthy.is_set():
                peer.reset()
                return
            peer.send(OK)

    async with serving(script, retries=no_retries(), breaker=breaker) as here:
        for _ in range(2):
            with pytest.raises(UpstreamBroke):
                await here.upstream.fetch("GET", b"/x")
        assert state(breaker) is State.OPEN
        with pytest.raises(UpstreamOpen):
            await here.upstream.fetch("GET", b"/x")
        assert (len(here.peers), here.upstream.connections) == (2, 0)
        healthy.set()
        clock.now = 1.0
        trial = Heard()
        here.upstream.begin("GET", b"/x", (), trial)
        with pytest.raises(UpstreamOpen):
            await here.upstream.fetch("GET", b"/x")
        await soon(lambda: trial.ended)
        assert state(breaker) is State.CLOSED
        assert (await here.upstream.fetch("GET", b"/x")).status == 200


def state(breaker: Breaker) -> State:
    """A function, so that nobody takes it for constant."""
    return breaker.state


async def test_a_trial_that_nobody_waits_for_makes_room_for_the_next() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock, minimum=1, open_for=1.0)
    async with serving(answering(OK), breaker=breaker) as here:
        breaker.failed(breaker.allow())
        clock.now = 1.0
        here.upstream.begin("GET", b"/x", (), Heard()).cancel()
        assert (await here.upstream.fetch("GET", b"/x")).status == 200
        assert breaker.state is State.CLOSED


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 504 No\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"no HTTP",
    ],
    ids=["503", "504, not whole", "truncated", "garbage"],
)
async def test_what_counts_as_a_failure_counts_once(answer: bytes) -> None:
    breaker = Breaker(clock=Clock(), minimum=3, share=1.0)

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(answer)

    async with serving(script, retries=no_retries(), breaker=breaker) as here:
        for count in range(3):
            assert breaker.opened == 0, count
            with suppress(UpstreamBroke):
                await here.upstream.fetch("GET", b"/x")
        assert breaker.opened == 1


async def test_a_caller_who_does_not_read_is_no_failure_of_the_upstream() -> None:
    breaker = Breaker(clock=Clock(), minimum=1)

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await peer.end()

    async with serving(script, deadline=0.2, breaker=breaker) as here:
        heard = Heard()
        exchange = here.upstream.begin("GET", b"/x", (), heard)
        await soon(lambda: heard.status)
        exchange.pause()
        await soon(lambda: heard.over)
        assert isinstance(heard.error, UpstreamTimeout)
        assert breaker.opened == 0


# --- the end


async def test_closing_fails_what_runs_and_what_comes() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.end()

    async with serving(script, connections=1, pool_wait=10.0) as here:
        running, waiting, after = Heard(), Heard(), Heard()
        here.upstream.begin("GET", b"/x", (), running)
        here.upstream.begin("GET", b"/x", (), waiting)
        await soon(lambda: here.requests)
        await here.upstream.close()
        assert isinstance(running.error, UpstreamBroke)  # it was sent: who knows what became of it
        assert isinstance(waiting.error, UpstreamUnreachable)
        here.upstream.begin("GET", b"/x", (), after)
        assert isinstance(after.error, UpstreamUnreachable)
        assert here.upstream.connections == 0
        await soon(lambda: not here.open)
        await here.upstream.close()


async def test_a_thousand_calls_that_are_abandoned_leave_nothing() -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            if peer.number % 2:
                peer.send(OK[:20])

    async with serving(script, connections=20) as here:
        for number in range(1000):
            exchange = here.upstream.begin("GET", b"/x", (), Heard())
            if number % 3:
                await asyncio.sleep(0)
            exchange.cancel()
        await soon(lambda: not pool_tasks())
        assert here.upstream.connections == here.upstream.idle_connections <= 20
