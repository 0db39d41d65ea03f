"""Ports on loopback: the wished one if it is free, else another, and never one that another sandbox was just given.

Between the look at a port and the server's bind another sandbox could take it, and each would believe that the other's
server was its own. So a port is claimed first: by the name of an abstract socket, which the kernel gives to one process
at a time and takes back however that process ends (Linux; elsewhere only the look remains).
"""

import random
import socket
import sys

LOOPBACK = "127.0.0.1"
# Below the range from which the kernel takes ports for outgoing connections: nobody takes one by accident
# between the look here and the server's bind.
_RANGE = range(20_000, 32_000)

_claims: dict[int, int | None] = {}
"""Port to the claim's file descriptor, which stays open for as long as this process lives."""


def free() -> int:
    """A port that nobody listens on, and that this process has not been given before."""
    candidates = random.SystemRandom()
    for _ in range(1_000):
        port = candidates.choice(_RANGE)
        if _take(port):
            return port
    raise OSError(f"no free port between {_RANGE.start} and {_RANGE.stop}")


def prefer(port: int) -> int:
    """`port`, or a free one if it is taken."""
    return port if _take(port) else free()


def _take(port: int) -> bool:
    """Whether the port is now this process's to give away."""
    if port in _claims or not is_free(port):
        return False
    if sys.platform != "linux":
        _claims[port] = None
        return True
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0banyan.sandbox.port.{port}")
    except OSError:
        claim.close()
        return False
    _claims[port] = claim.detach()
    return True


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do; a port whose last connections are only just closed (TIME_WAIT) is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
