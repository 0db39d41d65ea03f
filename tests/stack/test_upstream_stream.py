"""Bodies that stream, both ways, over real sockets; and httpx over the pool."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import respx

from runtime.upstream.breaker import Breaker
from runtime.upstream.errors import UpstreamBroke
from runtime.upstream.exchange import CHUNKED, Exchange
from runtime.upstream.transport import PoolTransport
from runtime.upstream.upstream import Upstream
from tests.fakes.clock import Clock
from tests.raw_upstream import OK, Heard, Peer, Serving, answering, serving, soon

pytestmark = pytest.mark.stack

PART = bytes(range(256)) * 256
PARTS = 400
"""25 MB in all: more than the buffers of both ends of a socket can hold."""
MOST_IN_FLIGHT = 16 * 1024 * 1024


async def body_of(peer: Peer) -> bytes:
    """A chunked body, from behind the head on."""
    body = b""
    while True:
        size = int((await peer.reader.readuntil(b"\r\n")).split(b";")[0], 16)
        body += (await peer.reader.readexactly(size + 2))[:-2]
        if size == 0:
            return body


def client(here: Serving, **options: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=PoolTransport(here.upstream),
        base_url=here.upstream.base_url,
        **options,  # type: ignore[arg-type]
    )


# --- request bodies


async def test_a_body_of_announced_length_goes_out_in_parts() -> None:
    async with serving(answering(OK)) as here:
        heard = Heard()
        exchange = here.upstream.begin("PUT", b"/x", (), heard, streamed=6)
        await soon(lambda: heard.drains == 1)
        assert exchange.send(b"abc")
        assert exchange.send(b"def")
        exchange.finish()
        await soon(lambda: heard.ended)
        assert here.upstream.idle_connections == 1
    assert here.requests[0].endswith(b"content-length: 6\r\n\r\nabcdef")


async def test_a_body_of_unknown_length_goes_out_in_chunks() -> None:
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            assert b"transfer-encoding: chunked" in await peer.request()
            got.append(await body_of(peer))
            peer.send(OK)

    async with serving(script) as here:
        for _ in range(2):
            heard = Heard()
            exchange = here.upstream.begin("POST", b"/x", (), heard, streamed=CHUNKED)
            await soon(lambda: heard.drains == 1)  # noqa: B023 - awaited here
            assert exchange.send(b"abc")
            assert exchange.send(b"")
            assert exchange.send(b"d" * 20)
            exchange.finish()
            await soon(lambda: heard.ended)  # noqa: B023 - awaited here
    assert got == [b"abc" + b"d" * 20] * 2
    assert len(here.peers) == 1


@pytest.mark.parametrize("parts", [[b"abcdefg"], [b"abc"], []], ids=["longer", "shorter", "none"])
async def test_a_body_of_another_length_than_announced_is_a_mistake_of_ours(
    parts: list[bytes],
) -> None:
    async with serving(answering(OK)) as here:
        heard = Heard()
        exchange = here.upstream.begin("PUT", b"/x", (), heard, streamed=6)
        await soon(lambda: heard.drains)
        with pytest.raises(ValueError, match="announced length"):
            send_all(exchange, parts)
        exchange.cancel()
        assert here.upstream.connections == 0
        await soon(lambda: not here.open)
    assert not heard.over


def send_all(exchange: Exchange, parts: list[bytes]) -> None:
    for part in parts:
        exchange.send(part)
    exchange.finish()


@pytest.mark.parametrize("streamed", [10**9, CHUNKED])
async def test_an_answer_that_comes_before_the_body_is_through_ends_the_connection(
    streamed: int,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await peer.end()

    async with serving(script) as here:
        heard = Heard()
        exchange = here.upstream.begin("POST", b"/x", (), heard, streamed=streamed)
        await soon(lambda: heard.ended)
        assert heard.status == 413
        assert here.upstream.connections == 0
        assert exchange.send(PART) is False  # dropped; nobody is waiting for it
        exchange.finish()
        await soon(lambda: not here.open)


async def test_a_whole_body_that_is_still_going_out_keeps_the_connection_from_the_next() -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.send(OK)
        await peer.end()

    async with serving(script) as here:
        reply = await here.upstream.fetch("POST", b"/x", body=b"x" * (32 * 1024 * 1024))
        assert reply.status == 200
        assert here.upstream.connections == 0


async def test_a_streamed_request_is_sent_once_however_safe() -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.reset()

    async with serving(script) as here:
        heard = Heard()
        here.upstream.begin("GET", b"/x", (), heard, streamed=CHUNKED)
        await soon(lambda: heard.over)
        assert isinstance(heard.error, UpstreamBroke)
        assert here.upstream.repeated == 0


async def test_an_upstream_that_does_not_read_stops_the_sender() -> None:
    read_on = asyncio.Event()
    digest = hashlib.sha256()

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await read_on.wait()
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(PARTS):
            digest.update(await peer.reader.readexactly(len(PART)))
        peer.send(OK)
        await peer.end()

    sent = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(PARTS):
            sent += len(PART)
            yield PART

    async with serving(script, deadline=60.0) as here, client(here, timeout=60.0) as http:
        headers = {"content-length": str(len(PART) * PARTS)}
        calling = asyncio.ensure_future(  # noqa: TID251 - awaited below
            http.put("/x", content=parts(), headers=headers)
        )
        await standstill(lambda: sent)
        assert 0 < sent < MOST_IN_FLIGHT
        read_on.set()
        assert (await calling).status_code == 200
    assert sent == len(PART) * PARTS
    assert digest.digest() == hashlib.sha256(PART * PARTS).digest()


async def standstill(count: Callable[[], int]) -> None:
    """Until a count has begun and then stays as it is for twenty looks."""
    seen = [0]

    def stands() -> bool:
        seen.append(count())
        return len(seen) > 20 and seen[-1] > 0 and len(set(seen[-20:])) == 1

    await soon(stands)


# --- answers


async def test_a_reader_that_does_not_read_stops_the_upstream() -> None:
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(PART) * PARTS))
        for _ in range(PARTS):
            sent += len(PART)
            peer.send(PART)
            await peer.writer.drain()
        await peer.end()

    async with serving(script, deadline=60.0) as here, client(here, timeout=60.0) as http:
        digest, largest = hashlib.sha256(), 0
        async with http.stream("GET", "/x") as response:
            await standstill(lambda: sent)
            assert 0 < sent < MOST_IN_FLIGHT
            async for part in response.aiter_raw():
                digest.update(part)
                largest = max(largest, len(part))
        assert here.upstream.idle_connections == 1
    assert digest.digest() == hashlib.sha256(PART * PARTS).digest()
    assert largest <= 272 * 1024


async def test_an_answer_streams_while_the_body_does() -> None:
    """An upstream that echoes: neither side may wait for the end of the other."""

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(PART) * PARTS))
        for _ in range(PARTS):
            peer.send(await peer.reader.readexactly(len(PART)))
            await peer.writer.drain()
        await peer.end()

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(PARTS):
            yield PART

    digest = hashlib.sha256()
    async with serving(script, deadline=60.0) as here, client(here, timeout=60.0) as http:
        headers = {"content-length": str(len(PART) * PARTS)}
        async with http.stream("POST", "/x", content=parts(), headers=headers) as response:
            async for part in response.aiter_raw():
                digest.update(part)
    assert digest.digest() == hashlib.sha256(PART * PARTS).digest()


async def test_pausing_before_there_is_a_connection_holds_the_answer() -> None:
    big = b"x" * (8 * 1024 * 1024)
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(big))
        for at in range(0, len(big), len(PART)):
            peer.send(big[at : at + len(PART)])
            sent = at + len(PART)
            await peer.writer.drain()
        await peer.end()

    async with serving(script, deadline=60.0) as here:
        heard = Heard()
        exchange = here.upstream.begin("GET", b"/x", (), heard)
        exchange.pause()
        await standstill(lambda: sent)
        assert (heard.status, len(heard.body)) == (0, 0)
        exchange.resume()
        await soon(lambda: heard.ended)
        assert heard.body == big


async def test_a_stream_that_is_left_closes_its_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await peer.end()

    async with serving(script) as here, client(here) as http:
        async with http.stream("GET", "/x") as response:
            assert response.status_code == 200
            assert here.upstream.connections == 1
        assert here.upstream.connections == 0
        await soon(lambda: not here.open)


# --- httpx over it


async def test_what_httpx_asks_goes_out_as_it_is_and_nothing_of_the_hop() -> None:
    answer = b"HTTP/1.1 201 Created\r\nSet-Cookie: a=1\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nok"
    async with serving(answering(answer)) as here, client(here) as http:
        reply = await http.post(
            "/t?a=in.(1,2)&b=%2B+", content=b"{}", headers=[("Prefer", "a"), ("Prefer", "b")]
        )
        assert (reply.status_code, reply.text, reply.headers.get_list("x-a")) == (
            201,
            "ok",
            ["1", "2"],
        )
        assert "set-cookie" not in reply.headers
        await http.get("/t", headers={"te": "trailers", "connection": "close, x"})
        assert not http.cookies
    first, second = here.requests
    assert first.startswith(b"POST /base/t?a=in.(1,2)&b=%2B+ HTTP/1.1\r\n")
    assert first.endswith(b"content-length: 2\r\n\r\n{}")
    assert first.count(b"Prefer: ") == 2
    for request in (first, second):
        assert request.lower().count(b"\r\nhost:") == 1
        for absent in (b"\r\nconnection:", b"\r\nte:", b"\r\ncookie:", b"\r\ntransfer-encoding:"):
            assert absent not in request.lower()
    assert len(here.peers) == 1


async def test_a_raw_target_goes_out_byte_for_byte() -> None:
    async with serving(answering(OK)) as here, client(here) as http:
        target = b'/base/t?q="a"&or=(a.eq.%27)'
        await http.get("/t", extensions={"target": target})
    assert here.requests[0].startswith(b"GET " + target + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/base/x", httpx.ConnectError),
        ("http://evil.example/base/x", httpx.ConnectError),
        ("https://127.0.0.1/base/x", httpx.ConnectError),
        ("ftp://127.0.0.1/base/x", httpx.UnsupportedProtocol),
        ("/../admin", httpx.ConnectError),
    ],
)
async def test_nothing_but_the_upstream_can_be_reached(
    url: str, error: type[httpx.TransportError]
) -> None:
    async with serving(answering(OK)) as here, client(here) as http:
        with pytest.raises(error) as raised:
            await http.get(url)
        for target in (b"/basement", b"http://evil.example/", b"*"):
            with pytest.raises(httpx.ConnectError):
                await http.get("/x", extensions={"target": target})
    assert "evil" not in str(raised.value)
    assert here.peers == []


@pytest.mark.parametrize(
    "extensions", [{"target": b"/base/x HTTP/1.1\r\nx: y"}, {"target": b"/base/x y"}]
)
async def test_a_head_that_would_be_two_is_not_sent(extensions: dict[str, bytes]) -> None:
    async with serving(answering(OK)) as here, client(here) as http:
        with pytest.raises(httpx.LocalProtocolError):
            await http.get("/x", extensions=extensions)
        with pytest.raises(httpx.LocalProtocolError):
            await http.get("/x", headers=[(b"a", b"b\r\nc: d")])
        with pytest.raises(httpx.LocalProtocolError):
            await http.get("/x", headers=[(b"a", b"b\nc: d")])
        with pytest.raises(httpx.LocalProtocolError):
            await http.request("GET /", "/x")
    assert here.peers == []


async def test_a_generators_body_is_chunked_and_its_mistakes_come_back() -> None:
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            got.append(await body_of(peer))
            peer.send(OK)

    async def three() -> AsyncIterator[bytes]:
        for part in (b"a", b"", b"bc"):
            yield part

    async def none() -> AsyncIterator[bytes]:
        for part in list[bytes]():
            yield part

    async def wrong() -> AsyncIterator[bytes]:
        yield b"a"
        raise ValueError("the caller's own")

    async with serving(script) as here, client(here) as http:
        assert (await http.post("/x", content=three())).status_code == 200
        assert (await http.post("/x", content=none())).status_code == 200
        with pytest.raises(ValueError, match="the caller's own"):
            await http.post("/x", content=wrong())
        assert here.upstream.idle_connections == here.upstream.connections
    assert got[:2] == [b"abc", b""]


async def test_a_body_that_fails_behind_the_head_of_the_answer_ends_the_exchange_at_once() -> None:
    fail = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await peer.end()

    async def failing() -> AsyncIterator[bytes]:
        yield b"a"
        await fail.wait()
        raise ValueError("the caller's own")

    async with (
        serving(script) as here,
        client(here) as http,
        http.stream("POST", "/x", content=failing()) as response,
    ):
        assert here.upstream.connections == 1
        fail.set()
        await soon(lambda: here.upstream.connections == 0)
        with pytest.raises(ValueError, match="the caller's own"):
            await response.aread()


@pytest.mark.parametrize("announced", ["2", "4", "x"])
async def test_a_body_of_the_wrong_length_is_a_protocol_error_of_ours(announced: str) -> None:
    async def three() -> AsyncIterator[bytes]:
        yield b"abc"

    async with serving(answering(OK)) as here, client(here) as http:
        with pytest.raises(httpx.LocalProtocolError):
            await http.post("/x", content=three(), headers={"content-length": announced})
        assert here.upstream.connections == 0


async def test_an_early_answer_does_not_wait_for_the_body() -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await peer.end()

    never = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield PART
        await never.wait()

    async with serving(script) as here, client(here) as http:
        assert (await http.post("/x", content=endless())).status_code == 413
        assert here.upstream.connections == 0


async def test_httpx_timeouts_are_the_total_deadline() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            peer.send(b"x")
            await peer.writer.drain()
            await asyncio.sleep(0.01)

    async with serving(script, deadline=60.0) as here, client(here, timeout=0.1) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get("/x")
        assert here.upstream.connections == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", httpx.RemoteProtocolError),
        (b"no HTTP", httpx.RemoteProtocolError),
        (b"", httpx.RemoteProtocolError),
    ],
)
async def test_what_the_pool_says_httpx_says(
    answer: bytes, error: type[httpx.TransportError]
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(answer)

    async with serving(script) as here, client(here) as http:
        with pytest.raises(error) as raised:
            await http.get("/x?email=secret")
    assert "secret" not in str(raised.value)


async def test_nobody_there_a_full_pool_and_an_open_breaker() -> None:
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await release.wait()
        peer.send(OK)

    breaker = Breaker(clock=Clock(), minimum=1)
    async with (
        serving(script, connections=1, pool_wait=0.05, breaker=breaker) as here,
        client(here) as http,
    ):
        async with asyncio.TaskGroup() as group:
            first = group.create_task(http.get("/x"))
            await soon(lambda: here.requests)
            with pytest.raises(httpx.PoolTimeout):
                await http.get("/x")
            release.set()
        assert first.result().status_code == 200
        breaker.failed(breaker.allow())
        with pytest.raises(httpx.ConnectError):
            await http.get("/x")
    gone = Upstream("gone", here.upstream.base_url)
    async with httpx.AsyncClient(transport=PoolTransport(gone)) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(gone.base_url)
    await gone.close()


async def test_closing_a_client_leaves_the_pool_to_the_others() -> None:
    async with serving(answering(OK)) as here:
        for _ in range(2):
            async with client(here) as http:
                await http.get("/x")
        assert here.upstream.idle_connections == 1
    assert len(here.peers) == 1


async def test_a_cancelled_call_takes_its_body_and_connection_along() -> None:
    async def script(peer: Peer) -> None:
        await peer.end()

    never = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield PART
        await never.wait()

    async with serving(script) as here, client(here) as http:
        calling = asyncio.ensure_future(http.post("/x", content=endless()))  # noqa: TID251 - awaited below
        await soon(lambda: here.peers)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert here.upstream.connections == 0
        await soon(lambda: not here.open)


async def test_respx_answers_for_a_client_over_the_pool() -> None:
    async with serving(answering(OK)) as here, client(here) as http:
        with respx.mock(using="httpx", base_url=here.upstream.base_url) as mocked:
            mocked.get("/x").respond(418, text="mocked")
            assert (await http.get("/x")).status_code == 418
        assert here.peers == []
        assert (await http.get("/x")).status_code == 200
