"""`Body`: what comes behind a request's head, kept up to a limit and no further, or passed on as it comes."""

import asyncio
from collections.abc import Callable
from typing import Final

from routes.refused import TooLarge

MOST_BYTES: Final = 1024 * 1024
"""No route takes a longer buffered body (http-rules section 1)."""
_HELD_BACK: Final = 128 * 1024
"""As much of a streamed body is kept while nobody takes it yet."""


class ClientGone(Exception):
    """Nobody is there to be answered."""


class Body:
    """Fed by the connection. `wanted` is called once when somebody begins to read: time for `100 Continue`."""

    __slots__ = (
        "_announced",
        "_chunks",
        "_failure",
        "_hold",
        "_most",
        "_poured",
        "_reader",
        "_streams",
        "_take",
        "_wanted",
        "complete",
        "held",
        "size",
    )

    def __init__(
        self,
        *,
        announced: int,
        wanted: Callable[[], None],
        streamed_most: int = 0,
        hold: Callable[[bool], None] | None = None,
    ) -> None:
        """`announced` is the Content-Length, 0 for chunks. `streamed_most`: the route passes up to so much on, and `hold` stops
        and resumes the client. Raises TooLarge."""
        self._streams = streamed_most > 0
        most = streamed_most if self._streams else MOST_BYTES
        if announced > most:
            raise TooLarge
        self._announced = announced
        self._chunks: list[bytes] = []
        self._most = most
        self._reader: asyncio.Future[None] | None = None
        self._take: Callable[[bytes], bool] | None = None
        self._poured: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._wanted = wanted
        self._hold = hold
        self.held = False
        """The client is stopped until whoever takes the body can take more."""
        self.complete = False
        self.size = 0

    @property
    def announced(self) -> int:
        """The Content-Length; 0 for chunks."""
        return self._announced

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
            self._stop(False)
            await self._reader
        return b"".join(self._chunks)

    def pour(self, take: Callable[[bytes], bool]) -> "asyncio.Future[None]":
        """Pass the body on to `take` as it comes, once; a `False` of it stops the client until `go_on`. The future is done when
        all of it is taken, or raises what `read` raises."""
        poured: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._poured, self._take = poured, take
        if self._failure is not None:
            poured.set_exception(self._failure)
            return poured
        if not self.complete:
            self._wanted()
        chunks, self._chunks = self._chunks, []
        self._stop(False)
        for chunk in chunks:
            self._pass(chunk)
        if self.complete and not poured.done():
            poured.set_result(None)
        return poured

    def go_on(self) -> None:
        """Whoever takes the body can take more."""
        self._stop(False)

    # --- for the connection

    def feed(self, data: bytes) -> None:
        """Raises TooLarge for a body that nobody takes; a reader is told by itself."""
        self.size += len(data)
        if self.size > self._most:
            self._chunks.clear()
            self.fail(TooLarge())
            raise TooLarge
        if self._take is not None:
            self._pass(data)
            return
        self._chunks.append(data)
        if self._streams and self._reader is None and self.size > _HELD_BACK:
            self._stop(True)

    def end(self) -> None:
        self.complete = True
        for waiting in (self._reader, self._poured):
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    def fail(self, failure: Exception) -> None:
        """It will not be complete."""
        if self._failure is None and not self.complete:
            self._failure = failure
            for waiting in (self._reader, self._poured):
                if waiting is not None and not waiting.done():
                    waiting.set_exception(failure)

    def _pass(self, data: bytes) -> None:
        take = self._take
        if take is not None and not take(data):
            self._stop(True)

    def _stop(self, on: bool) -> None:
        if self._hold is not None and self.held is not on:
            self.held = on
            self._hold(on)
