"""`Clients`: every connection of this process, how many an address has, and one clock that ends what is too slow."""

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

SWEEP_SECONDS = 0.25
LEAST_BODY_BYTES_PER_SECOND = 1024


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a client may take, in seconds (http-rules section 1)."""

    head: float = 10.0
    """From the first byte, or from the start of the connection, to the end of a head."""
    body: float = 10.0
    """After this a body must have come at LEAST_BODY_BYTES_PER_SECOND."""
    idle: float = 75.0
    """Between two requests; and for an answer of which not a byte is taken."""


class Connected(Protocol):
    """A connection, as the clock sees it."""

    address: str

    def look(self, now: float) -> None:
        """Close yourself if you are too slow."""


class Clients:
    """Start it in the running loop. `exempt` addresses may have any number of connections: proxies in front."""

    def __init__(
        self, patience: Patience, *, per_address: int, exempt: Collection[str] = ()
    ) -> None:
        self.patience = patience
        self._per_address = per_address
        self._exempt = frozenset(exempt)
        self._connections: set[Connected] = set()
        self._of: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._connections)

    def admit(self, connection: Connected) -> bool:
        """Whether the address may have one more; it is counted then."""
        address = connection.address
        if self._of[address] >= self._per_address and address not in self._exempt:
            return False
        self._of[address] += 1
        self._connections.add(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        return True

    def leave(self, connection: Connected) -> None:
        """It is closed. Does nothing for one that was not admitted."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._of[connection.address] -= 1
        if not self._of[connection.address]:
            del self._of[connection.address]

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._connections):
            connection.look(now)
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep) if self._connections else None

    def stop(self) -> None:
        """No more looking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
