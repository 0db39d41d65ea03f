"""Calls over real sockets against an upstream that misbehaves: what must never reach a caller."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from runtime.upstream.errors import (
    UpstreamBroke,
    UpstreamBusy,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from runtime.upstream.reply import Reply
from runtime.upstream.upstream import Upstream

pytestmark = pytest.mark.stack

Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(script: Script, **options: float) -> AsyncIterator[tuple[Upstream, list[bytes]]]:
    """An upstream whose server reads one request head and then does what `script` says."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(head)
            await script(head, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream = Upstream("test", f"http://127.0.0.1:{port}/base", **options)  # type: ignore[arg-type]
    try:
        yield upstream, heads
    finally:
        await upstream.close()
        server.close()


def answers(raw: bytes) -> Script:
    async def script(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return script


async def fetch(raw: bytes, method: str = "GET") -> Reply:
    async with serving(answers(raw)) as (upstream, _):
        return await upstream.fetch(method, b"/x")


async def test_target_and_headers_go_out_byte_for_byte() -> None:
    async with serving(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as (
        upstream,
        heads,
    ):
        target = b'/rest/v1/t?a=in.(1,2)&a=eq.%2B+x&select=*&q=%E2%82%AC&or=(a.eq."x")'
        reply = await upstream.fetch(
            "GET", target, [(b"Prefer", b"a"), (b"Prefer", b"b"), (b"X-T", b"\xc3\xa9")]
        )
    assert reply.body == b"ok"
    assert heads[0].startswith(b"GET /base" + target + b" HTTP/1.1\r\n")
    for line in (b"Prefer: a\r\n", b"Prefer: b\r\n", b"X-T: \xc3\xa9\r\n"):
        assert line in heads[0]
    for absent in (b"accept-encoding", b"user-agent", b"cookie"):
        assert absent not in heads[0].lower()


async def test_cookies_never_come_back() -> None:
    raw = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: 0\r\n\r\n"
    async with serving(answers(raw)) as (upstream, heads):
        await upstream.fetch("GET", b"/x")
        await upstream.fetch("GET", b"/x")
    assert b"cookie" not in heads[1].lower()


async def test_redirects_are_answers() -> None:
    reply = await fetch(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    )
    assert reply.status == 302


@pytest.mark.parametrize(
    ("method", "first"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\nstray"),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret",
        ),
    ],
)
async def test_stray_bytes_reach_nobody_else(method: str, first: bytes) -> None:
    clean = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean"
    turns = iter((first, clean))

    async def script(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(next(turns))

    async with serving(script) as (upstream, _):
        await upstream.fetch(method, b"/x")
        assert (await upstream.fetch("GET", b"/x")).body == b"clean"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"",
    ],
)
async def test_what_is_not_strict_http_is_broken(raw: bytes) -> None:
    with pytest.raises(UpstreamBroke):
        await fetch(raw)


async def test_early_hints_are_dropped() -> None:
    reply = await fetch(
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    assert (reply.status, reply.body) == (200, b"ok")


async def test_bodies_are_not_decoded() -> None:
    reply = await fetch(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert reply.body == b"abc"
    assert reply.header(b"content-encoding") == b"gzip"
    assert reply.header(b"x-none") is None


async def test_a_drip_ends_at_the_total_deadline() -> None:
    async def drip(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(drip, deadline=0.2) as (upstream, _):
        with pytest.raises(UpstreamTimeout):
            await upstream.fetch("GET", b"/x")


async def test_an_answer_past_the_limit_is_cut_off() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    async with serving(answers(raw), max_bytes=1000) as (upstream, _):
        with pytest.raises(UpstreamBroke):
            await upstream.fetch("GET", b"/x")


async def test_nobody_there() -> None:
    async with serving(answers(b"")) as (upstream, _):
        base = upstream.base_url
    gone = Upstream("gone", base)
    with pytest.raises(UpstreamUnreachable) as error:
        await gone.fetch("GET", b"/x")
    assert error.value.upstream == "gone"
    await gone.close()


async def test_a_full_pool_says_so_soon() -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def hang(head: bytes, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with serving(hang, connections=1, pool_wait=0.05) as (upstream, _):
        async with asyncio.TaskGroup() as group:
            first = group.create_task(upstream.fetch("GET", b"/x"))
            await arrived.wait()
            with pytest.raises(UpstreamBusy):
                await upstream.fetch("GET", b"/x")
            release.set()
        assert first.result().status == 200


@pytest.mark.parametrize("url", ["ftp://h", "http://", "http://h?x", "h:80", "http://h/#x"])
def test_a_wrong_base_url_is_found_at_start(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        Upstream("x", url)
