"""`Body`: what comes behind a request's head, kept up to a limit and no further."""

import asyncio
from collections.abc import Callable
from typing import Final

from routes.refused import TooLarge

MOST_BYTES: Final = 1024 * 1024
"""No route takes a longer buffered body (http-rules section 1)."""


class ClientGone(Exception):
    """Nobody is there to be answered."""


class Body:
    """Fed by the connection. `wanted` is called once when somebody begins to read: time for `100 Continue`."""

    __slots__ = (
        "_announced",
        "_chunks",
        "_failure",
        "_most",
        "_reader",
        "_wanted",
        "complete",
        "size",
    )

    def __init__(self, *, announced: int, wanted: Callable[[], None]) -> None:
        """`announced` is the Content-Length, 0 for chunks. Raises TooLarge."""
        if announced > MOST_BYTES:
            raise TooLarge
        self._announced = announced
        self._chunks: list[bytes] = []
        self._most = MOST_BYTES
        self._reader: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._wanted = wanted
        self.complete = False
        self.size = 0

    async def read(self, most: int) -> bytes:
        """The whole body, once. Raises TooLarge as soon as it is longer than `most`, ClientGone, RequestTimeout."""
        self._most = min(most, MOST_BYTES)
        if max(self.size, self._announced) > self._most:
            raise TooLarge
        if self._failure is not None:
            raise self._failure
        if not self.complete:
            self._wanted()
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return b"".join(self._chunks)

    # --- for the connection

    def feed(self, data: bytes) -> None:
        """Raises TooLarge for a body that nobody takes; a reader is told by itself."""
        self.size += len(data)
        if self.size > self._most:
            self._chunks.clear()
            self.fail(TooLarge())
            raise TooLarge
        self._chunks.append(data)

    def end(self) -> None:
        self.complete = True
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def fail(self, failure: Exception) -> None:
        """It will not be complete."""
        if self._failure is None and not self.complete:
            self._failure = failure
            if self._reader is not None and not self._reader.done():
                self._reader.set_exception(failure)
