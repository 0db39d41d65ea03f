"""A client's connection against a server that answers when it is told to: order, refusals, closing, patience."""

import asyncio
from typing import Any

import pytest

from gateway.edge.body import MOST_BYTES
from gateway.edge.clients import Clients, Patience
from gateway.edge.connection import LINGER_SECONDS, MOST_DROPPED, MOST_PIPELINED, ClientConnection
from gateway.edge.head import Heads
from gateway.edge.request import Request
from routes.refused import Unclear
from tests.fakes.wire import MemoryTransport

pytestmark = pytest.mark.unit

PATIENCE = Patience(head=10, body=10, idle=75)


class Answered:
    """A call that waits to be answered."""

    def __init__(self, client: ClientConnection, said: str) -> None:
        self.client = client
        self.said = said
        self.events: list[str] = []

    def answer(self) -> None:
        self.client.send(self.said.encode() + b"\n")
        self.client.finish()

    def gone(self) -> None:
        self.events.append("gone")

    def pause(self) -> None:
        self.events.append("pause")

    def resume(self) -> None:
        self.events.append("resume")


class Server:
    """Notes what comes; answers at once if it is told so."""

    def __init__(self) -> None:
        self.calls: list[Answered] = []
        self.requests: list[Request] = []
        self.at_once = True

    def begin(self, request: Request, client: ClientConnection) -> Answered:
        self.requests.append(request)
        return self._note(client, f"{request.method} {request.path.decode()}")

    def refuse(
        self,
        reason: Unclear,
        headers: dict[bytes, bytes],
        client: ClientConnection,
        *,
        head: bool,
    ) -> Answered:
        return self._note(client, reason.code + " without a body" * head)

    def _note(self, client: ClientConnection, said: str) -> Answered:
        call = Answered(client, said)
        self.calls.append(call)
        if self.at_once:
            call.answer()
        return call


class Line:
    """One connection."""

    def __init__(self, *, clients: Clients | None = None) -> None:
        self.server = Server()
        self.clients = Clients(PATIENCE, per_address=10) if clients is None else clients
        self.transport = MemoryTransport()
        self.client = ClientConnection(self.server, self.clients, Heads(hosts=("h",)))
        self.client.connection_made(self.transport)
        self.now = 0.0

    def say(self, data: bytes) -> None:
        self.client.data_received(data)

    def wait(self, seconds: float) -> None:
        """What the clock would do."""
        self.client.look(self.now)
        self.now += seconds + 0.01
        self.client.look(self.now)

    @property
    def heard(self) -> list[str]:
        return self.transport.written.decode().split("\n")[:-1]

    @property
    def over(self) -> bool:
        return self.transport.eof or self.transport.closed


@pytest.fixture
async def line() -> Any:
    made = Line()
    yield made
    made.clients.stop()


def get(path: bytes, *lines: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\n" % path + b"".join(
        b"%b\r\n" % x for x in (b"Host: h", *lines, b"")
    )


async def test_requests_are_answered_one_after_the_other(line: Line) -> None:
    line.say(get(b"/a"))
    line.say(get(b"/b"))
    assert line.heard == ["GET /a", "GET /b"]
    assert not line.over


async def test_a_request_may_come_byte_by_byte(line: Line) -> None:
    for byte in get(b"/a?x=1", b"X-Long: " + b"y" * 100):
        line.say(bytes([byte]))
    assert line.heard == ["GET /a"]
    assert line.server.requests[0].query == b"x=1"
    assert line.server.requests[0].header(b"x-long") == b"y" * 100


async def test_pipelined_requests_wait_for_their_turn_in_order(line: Line) -> None:
    line.server.at_once = False
    line.say(get(b"/a") + get(b"/b") + get(b"/c"))
    assert len(line.server.calls) == 1
    paused = [line.transport.paused]
    line.server.calls[0].answer()
    line.server.calls[1].answer()
    assert [*paused, line.transport.paused] == [True, False]
    line.server.calls[2].answer()
    assert line.heard == ["GET /a", "GET /b", "GET /c"]


async def test_of_too_many_pipelined_requests_those_that_were_read_are_answered(line: Line) -> None:
    line.say(get(b"/a") * (MOST_PIPELINED + 10))
    assert set(line.heard) == {"GET /a"}
    assert line.over


async def test_what_is_behind_a_last_request_is_ignored(line: Line) -> None:
    line.say(get(b"/a", b"Connection: close") + get(b"/b") + b"rubbish\0")
    assert line.heard == ["GET /a"]
    assert line.over


async def test_http_1_0_is_answered_and_closed(line: Line) -> None:
    line.say(b"GET /a HTTP/1.0\r\nHost: h\r\n\r\n")
    assert line.heard == ["GET /a"]
    assert line.over


async def test_an_upgrade_is_not_taken_up(line: Line) -> None:
    line.say(get(b"/a", b"Upgrade: h2c", b"Connection: Upgrade") + b"PRI * HTTP/2.0\r\n\r\n")
    assert line.heard == ["GET /a"]
    assert line.over


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET /a HTTP/1.1\r\n\r\n", "malformed"),
        (b"GET /a\r\n\r\n", "http_version"),
        (b"GET /a HTTP/1.1\nHost: h\n\n", "malformed"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "not_implemented"),
        (b"GET /a HTTP/1.1\r\nHost: h\r\nX : 1\r\n\r\n", "malformed"),
        (b"GET /a HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", "malformed"),
        (b"GET /a HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", "malformed"),
        (b"FOO /a HTTP/1.1\r\nHost: h\r\n\r\n", "not_implemented"),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", "method_not_allowed"),
        (b"GET /a HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 30_000, "headers_too_large"),
        (b"GET /a HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 17_000 + b"\r\n\r\n", "headers_too_large"),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", "uri_too_long"),
        (b"GET /" + b"a" * 9_000, "uri_too_long"),
        (b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n", "too_large"),
        (b"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n", "too_large"),
        (b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello", "malformed"),
        (
            b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "malformed",
        ),
    ],
)
async def test_what_is_not_clear_is_told_once_and_ends_the_connection(
    line: Line, sent: bytes, code: str
) -> None:
    line.say(sent)
    assert line.heard == [code]
    line.say(get(b"/behind"))
    assert line.heard == [code]
    assert line.over


async def test_a_refusal_waits_for_the_answers_before_it(line: Line) -> None:
    line.server.at_once = False
    line.say(get(b"/a") + b"rubbish\r\n\r\n")
    assert [call.said for call in line.server.calls] == ["GET /a"]
    line.server.calls[0].answer()
    line.server.calls[1].answer()
    assert line.heard == ["GET /a", "malformed"] or line.heard == ["GET /a", "not_implemented"]
    assert line.over


# --- bodies


POST = b"POST /a HTTP/1.1\r\nHost: h\r\n"


async def test_a_request_with_a_body_is_begun_before_the_body_is_there(line: Line) -> None:
    line.server.at_once = False
    line.say(POST + b"Content-Length: 5\r\n\r\nhe")
    body = line.server.requests[0].body
    assert body is not None
    reading = asyncio.gather(body.read(100))
    line.say(b"llo" + get(b"/b"))
    assert list(await reading) == [b"hello"]
    line.server.calls[0].answer()
    assert len(line.server.calls) == 2


async def test_chunks_are_put_together_and_trailers_dropped(line: Line) -> None:
    line.say(
        POST
        + b"Transfer-Encoding: chunked\r\n\r\n3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nX-User-Id: 1\r\n\r\n"
    )
    request = line.server.requests[0]
    assert request.body is not None
    assert await request.body.read(100) == b"hello"
    assert request.header(b"x-user-id") is None


@pytest.mark.parametrize(
    "framing",
    [
        b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 6_000 + b"\r\na\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + (b"1;" + b"x" * 100 + b"\r\na\r\n") * 60,
    ],
)
async def test_chunk_extensions_are_bounded(line: Line, framing: bytes) -> None:
    line.server.at_once = False
    line.say(POST + framing)
    line.server.calls[0].answer()
    assert line.over


async def test_a_body_that_grows_past_the_limit_of_its_route_ends(line: Line) -> None:
    line.server.at_once = False
    line.say(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    body = line.server.requests[0].body
    assert body is not None
    reading = asyncio.gather(body.read(4), return_exceptions=True)
    await asyncio.sleep(0)
    line.say(b"5\r\nhello\r\n")
    (failure,) = await reading
    assert isinstance(failure, Unclear)
    assert failure.code == "too_large"


async def test_an_answer_before_the_end_of_the_body_closes(line: Line) -> None:
    line.say(POST + b"Content-Length: 5\r\n\r\nhe")
    assert line.heard == ["POST /a"]
    assert line.over


async def test_the_body_of_a_get_is_read_and_dropped(line: Line) -> None:
    line.say(get(b"/a", b"Content-Length: 3") + b"ab")
    assert line.heard == []
    line.say(b"c" + get(b"/b"))
    assert line.heard == ["GET /a", "GET /b"]
    assert line.server.requests[0].body is None


async def test_continue_is_said_when_the_body_is_wanted(line: Line) -> None:
    line.server.at_once = False
    line.say(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert line.heard == []
    body = line.server.requests[0].body
    assert body is not None
    reading = asyncio.gather(body.read(100))
    await asyncio.sleep(0)
    assert line.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    line.say(b"ok")
    assert list(await reading) == [b"ok"]


# --- leaving


async def test_whoever_leaves_is_not_waited_for(line: Line) -> None:
    line.server.at_once = False
    line.say(get(b"/a"))
    line.client.connection_lost(None)
    assert line.server.calls[0].events == ["gone"]
    line.server.calls[0].answer()
    assert line.heard == []
    assert len(line.clients) == 0


async def test_a_body_that_is_cut_off_fails_its_reader(line: Line) -> None:
    line.server.at_once = False
    line.say(POST + b"Content-Length: 5\r\n\r\nhe")
    body = line.server.requests[0].body
    assert body is not None
    reading = asyncio.gather(body.read(100), return_exceptions=True)
    await asyncio.sleep(0)
    line.client.connection_lost(None)
    (failure,) = await reading
    assert type(failure).__name__ == "ClientGone"


async def test_a_client_that_has_said_all_still_hears_the_answer(line: Line) -> None:
    line.server.at_once = False
    line.say(get(b"/a"))
    assert line.client.eof_received() is True
    line.server.calls[0].answer()
    assert line.heard == ["GET /a"]
    assert line.over


async def test_back_pressure_reaches_whoever_answers(line: Line) -> None:
    line.server.at_once = False
    line.say(get(b"/a"))
    line.client.pause_writing()
    line.client.resume_writing()
    assert line.server.calls[0].events == ["pause", "resume"]


# --- patience


async def test_a_silent_connection_is_closed(line: Line) -> None:
    line.wait(PATIENCE.head)
    assert line.transport.closed
    assert line.heard == []


async def test_a_slow_head_is_408(line: Line) -> None:
    line.say(b"GET /a HT")
    line.wait(PATIENCE.head)
    assert line.heard == ["request_timeout"]
    assert line.over


async def test_a_slow_head_behind_an_answer_is_408_too(line: Line) -> None:
    line.say(get(b"/a") + b"GET /")
    line.wait(PATIENCE.head)
    assert line.heard == ["GET /a", "request_timeout"]


async def test_an_idle_connection_is_closed_later(line: Line) -> None:
    line.say(get(b"/a"))
    line.wait(PATIENCE.head)
    assert not line.over
    line.wait(PATIENCE.idle)
    assert line.transport.closed


async def test_a_slow_body_is_408_a_quick_one_is_not(line: Line) -> None:
    line.server.at_once = False
    line.say(POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 50_000)
    body = line.server.requests[0].body
    assert body is not None
    reading = asyncio.gather(body.read(MOST_BYTES), return_exceptions=True)
    await asyncio.sleep(0)
    line.wait(20)
    assert not reading.done()
    line.wait(60)
    (failure,) = await reading
    assert isinstance(failure, Unclear)
    assert failure.code == "request_timeout"


async def test_an_answer_that_takes_long_is_waited_for(line: Line) -> None:
    line.server.at_once = False
    line.say(get(b"/a"))
    line.wait(1000)
    assert not line.over


async def test_an_answer_that_nobody_takes_is_broken_off(line: Line) -> None:
    line.server.at_once = False
    line.say(get(b"/a"))
    line.client.pause_writing()
    line.wait(PATIENCE.idle)
    assert line.transport.aborted


async def test_after_a_refusal_the_rest_is_dropped_for_a_moment(line: Line) -> None:
    line.say(b"rubbish\r\n\r\n")
    line.say(b"x" * 1000)
    assert line.transport.eof
    assert not line.transport.closed
    line.wait(LINGER_SECONDS)
    assert line.transport.closed


async def test_after_a_refusal_not_everything_is_dropped(line: Line) -> None:
    line.say(b"rubbish\r\n\r\n")
    line.say(b"x" * (MOST_DROPPED + 1))
    assert line.transport.closed


# --- many, and the end


async def test_an_address_has_so_many_connections_and_no_more() -> None:
    clients = Clients(PATIENCE, per_address=2)
    lines = [Line(clients=clients) for _ in range(3)]
    assert [line.transport.aborted for line in lines] == [False, False, True]
    lines[0].client.connection_lost(None)
    assert not Line(clients=clients).transport.aborted
    lines[2].client.connection_lost(None)
    assert len(clients) == 2
    clients.stop()


async def test_when_the_server_stops_idle_connections_end_and_others_after_their_answer(
    line: Line,
) -> None:
    line.server.at_once = False
    line.say(get(b"/a"))
    line.client.shutdown()
    over = [line.over]
    line.server.calls[0].answer()
    assert line.heard == ["GET /a"]
    assert [*over, line.over] == [False, True]
    other = Line(clients=line.clients)
    other.client.shutdown()
    assert other.transport.closed
