"""The issuer's keys over real HTTP: whatever its server does, the last good set stays, and nothing else is ever asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from benchmarks.token_issuer import TokenIssuer
from runtime import settings
from runtime.issuer import KeysNotServed, issuer_identities, issuer_keys, issuer_upstream
from runtime.jwks import KeySet, KeysUnavailable
from runtime.settingserror import SettingsError

pytestmark = pytest.mark.stack

ISSUER = TokenIssuer("http://127.0.0.1/auth/v1")
KEYS = json.dumps(ISSUER.key_set()).encode()


def answer(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Server:
    """Says `says` to every request, or hangs on None; keeps the request lines."""

    def __init__(self) -> None:
        self.says: bytes | None = answer(KEYS)
        self.asked: list[bytes] = []
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
                if self.says is None:
                    await reader.read()
                    return
                writer.write(self.says)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()


@asynccontextmanager
async def keys_of(server: Server, path: str = "/keys.json?v=1") -> AsyncIterator[KeySet]:
    """Without cooldown, and old at once, so that each question asks the server."""
    found = settings.load(
        profile="sandbox",
        token_issuer=ISSUER.issuer,
        token_jwks_url=f"http://127.0.0.1:{server.port}{path}",
        read_deadline_seconds=0.3,
    )
    upstream = issuer_upstream(found)
    fetch = issuer_keys(found, upstream)._fetch
    try:
        yield KeySet(fetch, cooldown=0.0)
    finally:
        await upstream.close()


async def test_the_set_is_fetched_by_its_whole_url(server: Server) -> None:
    async with keys_of(server) as keys:
        assert await keys.key("ec") is not None
    assert server.asked == [b"GET /keys.json?v=1 HTTP/1.1"]


@pytest.mark.parametrize(
    "says",
    [
        answer(KEYS, b"500 No"),
        answer(KEYS, b"404 No"),
        answer(KEYS, b"204 No Content"),
        answer(b"", b"302 Found", b"location: /keys.json"),
        answer(KEYS, b"301 Moved", b"location: /elsewhere"),
        answer(b"<html>"),
        answer(b'{"keys": []}'),
        answer(KEYS[:-1]),
        answer(KEYS[:-1] + b" " * 2_000_000 + b"}"),
        answer(KEYS + b" ")[:-1],
        b"HTTP/1.1 200 OK\r\n\r\n" + KEYS,
        b"garbage\r\n\r\n",
        None,
    ],
    ids=lambda says: repr(says)[:24] + str(len(says or b"")),
)
async def test_whatever_it_says_the_last_good_set_stays(server: Server, says: bytes | None) -> None:
    async with keys_of(server) as keys:
        await keys.need()
        server.says = says
        assert await keys.key("unknown") is None
        assert len(server.asked) == 2
        assert keys.known("ec") is not None
        assert keys.generation == 1
    assert {line.split(b" ")[1] for line in server.asked} == {b"/keys.json?v=1"}


async def test_without_a_good_set_nobody_can_be_judged(server: Server) -> None:
    server.says = answer(b"", b"503 No")
    async with keys_of(server) as keys:
        with pytest.raises(KeysUnavailable):
            await keys.need()
        with pytest.raises(KeysNotServed, match="503"):
            await keys._fetch()


def test_a_secret_that_cannot_be_used_is_told_by_its_setting() -> None:
    found = settings.load(
        profile="sandbox", token_issuer=ISSUER.issuer, token_hs256_secret="too short"
    )
    with pytest.raises(SettingsError, match="TOKEN_HS256_SECRET"):
        issuer_identities(found, KeySet(lambda: asyncio.sleep(0, b"")))


def test_an_https_issuer_is_verified() -> None:
    found = settings.load(profile="sandbox", token_issuer="https://ref.supabase.example/auth/v1")
    context = issuer_upstream(found).tls
    assert context is not None
    assert context.check_hostname
