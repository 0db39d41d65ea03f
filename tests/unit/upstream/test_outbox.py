"""Requests of one turn go out together at its end, and what happens to a connection before that costs nobody anything."""

import asyncio
from socket import socketpair
from typing import Any

import pytest
from typing_extensions import override

from benchmarks.wire_readers import NoSocket
from runtime.upstream.connection import Connection
from runtime.upstream.errors import UpstreamUnreachable
from runtime.upstream.upstream import Upstream
from tests.raw_upstream import OK, Heard, soon

pytestmark = pytest.mark.unit


class Socket(NoSocket):
    """Notes what is written, in one list with the others; silent, as the pool can see."""

    def __init__(self, connection: Connection, sent: list[bytes]) -> None:
        super().__init__()
        self.connection = connection
        self.ends_when_paused = False
        self._sent = sent
        self._ends = socketpair()
        self.far_end = self._ends[1]
        connection.connection_made(self)

    @override
    def write(self, data: Any) -> None:
        self._sent.append(bytes(data).partition(b" HTTP")[0])

    @override
    def pause_reading(self) -> None:
        if self.ends_when_paused:
            asyncio.get_running_loop().call_soon(self.connection.eof_received)

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._ends[0] if name == "socket" else default

    @override
    def abort(self) -> None:
        super().abort()
        for end in self._ends:
            end.close()


class Net:
    """An upstream whose connections are sockets of ours."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.sockets: list[Socket] = []
        self.dies = False
        """A new connection ends as soon as it has something to do."""
        self.upstream = Upstream("x", "http://127.0.0.1:1", dial=self._dial)

    async def _dial(self, connection: Connection) -> None:
        socket = Socket(connection, self.sent)
        socket.ends_when_paused = self.dies
        self.sockets.append(socket)

    async def connected(self, count: int) -> None:
        """That many idle connections."""
        heard = [Heard() for _ in range(count)]
        for one in heard:
            self.upstream.begin("GET", b"/first", (), one)
        await soon(lambda: len(self.sent) == count)
        for socket in self.sockets:
            socket.connection.data_received(OK)
        assert all(one.ended for one in heard)
        self.sent.clear()


async def test_requests_of_a_turn_go_out_together_at_its_end_in_order() -> None:
    net = Net()
    await net.connected(2)
    net.upstream.begin("GET", b"/a", (), Heard())
    net.upstream.begin("POST", b"/b", (), Heard(), b"body")
    assert net.sent == []
    await asyncio.sleep(0)
    assert net.sent == [b"GET /a", b"POST /b"]
    await net.upstream.close()


async def test_what_is_given_up_within_the_turn_is_not_sent() -> None:
    net = Net()
    await net.connected(1)
    net.upstream.begin("GET", b"/a", (), Heard()).cancel()
    await asyncio.sleep(0)
    assert net.sent == []
    assert net.upstream.connections == 0
    await net.upstream.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_that_ends_before_is_replaced_whatever_the_method(method: str) -> None:
    net, heard = Net(), Heard()
    await net.connected(1)
    net.upstream.begin(method, b"/a", (), heard)
    net.sockets[0].connection.eof_received()
    await soon(lambda: net.sent == [f"{method} /a".encode()])
    assert len(net.sockets) == 2
    net.sockets[1].connection.data_received(OK)
    assert heard.ended
    await asyncio.sleep(0)
    assert len(net.sent) == 1
    assert net.upstream.repeated == 0
    await net.upstream.close()


async def test_bytes_that_come_before_are_nobodys_answer() -> None:
    net, heard = Net(), Heard()
    await net.connected(1)
    net.upstream.begin("GET", b"/a", (), heard)
    net.sockets[0].connection.data_received(OK)
    assert not heard.over
    await soon(lambda: net.sent == [b"GET /a"])
    assert len(net.sockets) == 2
    await net.upstream.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_waits_in_the_socket_by_then_is_nobodys_answer(method: str) -> None:
    """No echo would tell it: the socket is looked at once more, right before the request leaves."""
    net, heard = Net(), Heard()
    await net.connected(1)
    net.upstream.begin(method, b"/a", (), heard)
    net.sockets[0].far_end.send(OK)
    await soon(lambda: net.sent == [f"{method} /a".encode()])
    assert len(net.sockets) == 2
    assert not net.sockets[0].connection.usable
    assert not heard.over
    await net.upstream.close()


async def test_a_connection_that_is_being_closed_takes_no_request() -> None:
    """uvloop says so one turn later."""
    net, heard = Net(), Heard()
    await net.connected(1)
    net.upstream.begin("POST", b"/a", (), heard)
    NoSocket.abort(net.sockets[0])
    await soon(lambda: net.sent == [b"POST /a"])
    assert len(net.sockets) == 2
    await net.upstream.close()


async def test_what_never_gets_out_is_unreachable_and_was_not_applied() -> None:
    net, heard = Net(), Heard()
    await net.connected(1)
    exchange = net.upstream.begin("POST", b"/a", (), heard)
    net.dies = True
    net.sockets[0].connection.eof_received()
    exchange.pause()  # on the next connection that is the first thing that is done
    await soon(lambda: heard.over)
    assert isinstance(heard.error, UpstreamUnreachable)
    assert net.sent == []
    await net.upstream.close()
