"""An answer, and how it goes onto the wire."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Header = tuple[bytes, bytes]
Send = Callable[[Any], Awaitable[None]]

JSON = b"application/json"


@dataclass(frozen=True, kw_only=True)
class Response:
    """`headers` are beside content type and length, which come from the body; a HEAD or 304 answer sends no body."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[Header, ...] = field(default_factory=tuple)


async def send_response(send: Send, response: Response, extra: list[Header], *, head: bool) -> None:
    """Frame it and send it whole. `head`: the request was a HEAD, so the length is told and the body is not sent."""
    headers = [*response.headers, *extra]
    bodiless = response.status in (204, 304)
    if not bodiless:
        headers.append((b"content-type", response.content_type))
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if head or bodiless else response.body
    await send({"type": "http.response.body", "body": body})
