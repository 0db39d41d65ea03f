"""`Reply`: a whole answer, and the receiver that collects one."""

import asyncio
from dataclasses import dataclass

from runtime.upstream.errors import UpstreamBroke, UpstreamError
from runtime.upstream.exchange import Exchange, Header


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Header names are lower case; the body is as it was on the wire."""

    status: int
    headers: tuple[Header, ...]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


class Collector:
    """Receives one answer of at most `most` bytes; longer ones are cut off and count as broken."""

    def __init__(self, upstream: str, most: int) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.exchange: Exchange | None = None
        self._upstream = upstream
        self._most = most
        self._size = 0
        self._status = 0
        self._headers: list[Header] = []
        self._chunks: list[bytes] = []

    def answered(self, status: int, headers: list[Header], data: bytes, end: bool) -> None:
        self._status, self._headers = status, headers
        self.more(data, end)

    def more(self, data: bytes, end: bool) -> None:
        if self.reply.done():
            return
        self._size += len(data)
        if self._size > self._most:
            if self.exchange is not None:
                self.exchange.cancel()
            self.failed(UpstreamBroke(self._upstream))
            return
        self._chunks.append(data)
        if end:
            body = b"".join(self._chunks)
            self.reply.set_result(
                Reply(status=self._status, headers=tuple(self._headers), body=body)
            )

    def failed(self, error: UpstreamError) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)

    def drained(self) -> None:
        """The body was sent with the head."""
