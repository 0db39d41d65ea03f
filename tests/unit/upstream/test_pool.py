"""What the pool does with a connection that became free, seen without sockets."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from typing_extensions import override

from benchmarks.wire_readers import NoSocket, at_once
from runtime.upstream.connection import Connection
from runtime.upstream.errors import UpstreamBroke
from runtime.upstream.outbox import Outbox
from runtime.upstream.upstream import Upstream
from tests.raw_upstream import OK, Heard, soon

pytestmark = pytest.mark.unit


class Pipe(NoSocket):
    """What is in the pipe is what the event loop has not brought yet."""

    def __init__(self) -> None:
        super().__init__()
        self.end, self.far_end = os.pipe()

    def fileno(self) -> int:
        return self.end

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "socket" else default


@pytest.fixture
def pipes() -> Iterator[list[Pipe]]:
    pipes = [Pipe() for _ in range(3)]
    yield pipes
    for pipe in pipes:
        os.close(pipe.end)
        os.close(pipe.far_end)


@pytest.fixture
def pipe(pipes: list[Pipe]) -> Pipe:
    return pipes[0]


def connected(upstream: Upstream, pipe: Pipe) -> Connection:
    """A connection of that upstream, as if it had just been made."""
    connection = Connection(upstream._pool, Outbox(at_once))
    connection.connection_made(pipe)
    upstream._pool._add(connection)
    return connection


async def test_who_waits_does_not_get_a_connection_on_which_something_waits(pipe: Pipe) -> None:
    upstream = Upstream("x", "http://127.0.0.1:1", connections=1)
    connection = connected(upstream, pipe)
    first, second = Heard(), Heard()
    upstream.begin("GET", b"/first", (), first)
    waiting = upstream.begin("GET", b"/second", (), second)
    os.write(pipe.far_end, b"HTTP/1.1 200 OK\r\n")
    connection.data_received(OK)
    assert first.ended
    assert not connection.usable
    assert waiting.connection is None
    await upstream.close()


async def test_who_waits_gets_a_silent_one_at_once(pipe: Pipe) -> None:
    upstream = Upstream("x", "http://127.0.0.1:1", connections=1)
    connection = connected(upstream, pipe)
    first, second = Heard(), Heard()
    upstream.begin("GET", b"/first", (), first)
    upstream.begin("GET", b"/second", (), second)
    connection.data_received(OK)
    connection.data_received(OK)
    assert first.ended
    assert second.ended
    assert upstream.idle_connections == 1
    await upstream.close()
    assert not connection.usable


async def test_a_read_with_an_echo_does_not_look_and_a_write_does(pipe: Pipe) -> None:
    upstream = Upstream("x", "http://127.0.0.1:1", connections=1)
    connection = connected(upstream, pipe)
    os.write(pipe.far_end, b"x")
    read = upstream.begin("GET", b"/x", (), Heard(), echo=b"abcdefgh-1")
    assert read.connection is connection
    answer = OK.replace(b"\r\n\r\n", b"\r\nX-Correlation-ID: abcdefgh-1\r\n\r\n")
    connection.data_received(answer)
    assert upstream.idle_connections == 1
    write = upstream.begin("POST", b"/x", (), Heard(), echo=b"abcdefgh-1")
    assert write.connection is None
    assert not connection.usable
    await upstream.close()


async def test_a_connection_that_comes_when_nobody_waits_ages(pipe: Pipe) -> None:
    upstream = Upstream("x", "http://127.0.0.1:1", idle=0.001)
    connected(upstream, pipe)
    assert upstream.idle_connections == 1
    await soon(lambda: upstream.connections == 0)
    await upstream.close()


async def test_a_receiver_may_ask_again_from_within_an_answer(pipe: Pipe) -> None:
    """The connection is given back first."""
    upstream = Upstream("x", "http://127.0.0.1:1", connections=1)
    connection = connected(upstream, pipe)

    class Again(Heard):
        @override
        def answered(self, status: int, headers: Any, data: bytes, end: bool) -> None:
            super().answered(status, headers, data, end)
            upstream.begin("GET", b"/x", (), second)

    second = Heard()
    upstream.begin("GET", b"/x", (), Again())
    connection.data_received(OK)
    connection.data_received(OK)
    assert second.ended
    assert upstream.idle_connections == 1
    await upstream.close()


async def test_there_is_no_third_attempt(pipes: list[Pipe]) -> None:
    """Not even if all the pool had for the second was another kept connection."""
    upstream = Upstream("x", "http://127.0.0.1:1", connections=2)
    connections = [connected(upstream, pipe) for pipe in pipes]
    for exchange in [upstream.begin("GET", b"/x", (), Heard()) for _ in pipes]:
        assert exchange.connection is not None
    for connection in connections:
        connection.data_received(OK)
    idle = [upstream.idle_connections]
    heard = Heard()
    upstream.begin("GET", b"/x", (), heard)
    connections[2].eof_received()
    errors = [heard.error]
    assert upstream.repeated == 1
    connections[1].eof_received()
    errors.append(heard.error)
    assert errors[0] is None
    assert isinstance(errors[1], UpstreamBroke)
    assert [*idle, upstream.idle_connections] == [3, 1]
    await upstream.close()
