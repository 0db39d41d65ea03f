"""Two sandboxes that start together never choose the same port."""

import socket
import subprocess
import sys

import pytest

from sandbox import ports

pytestmark = pytest.mark.stack


def test_a_port_is_given_once() -> None:
    first = ports.prefer(ports.free() + 1)
    assert ports.prefer(first) != first


def test_a_port_that_somebody_listens_on_is_not_given() -> None:
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.prefer(port) != port


def test_a_port_that_another_sandbox_was_just_given_is_not_given() -> None:
    ask = "import sys; from sandbox import ports; print(ports.prefer(int(sys.argv[1])), flush=True); sys.stdin.read()"
    wished = ports.free() + 2
    with subprocess.Popen(
        [sys.executable, "-c", ask, str(wished)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == wished
        assert ports.is_free(wished)
        assert ports.prefer(wished) != wished
        other.communicate()
    assert ports.prefer(wished) == wished
