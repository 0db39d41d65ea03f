"""Calls to the two worlds: the only module that knows which HTTP client makes them.

Errors: UpstreamError
  UpstreamUnreachable   nothing was sent: refused, no address, TLS        -> 503
  UpstreamBusy          no free connection within the wait                -> 503
  UpstreamTimeout       the total deadline passed                         -> 504
  UpstreamBroke         reset, truncated, or not the HTTP we accept       -> 502

For now the client is httpx, whose traps are kept out here: no cookies, no redirects, no environment proxies, the target
and the headers byte for byte, bodies undecoded, one deadline round the whole exchange, and a new connection per call,
because a pooled one would hand bytes behind a HEAD, 204 or Content-Length to the next user (http-rules section 4).
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit

import httpx

from runtime.tasks import spawn

Header = tuple[bytes, bytes]


class UpstreamError(Exception):
    """The exchange failed. Carries the upstream's name and nothing of the exchange."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.upstream = upstream


class UpstreamUnreachable(UpstreamError):
    """No connection; nothing was sent."""


class UpstreamBusy(UpstreamError):
    """No free connection within the wait; nothing was sent."""


class UpstreamTimeout(UpstreamError):
    """The deadline passed; what the upstream did is unknown."""


class UpstreamBroke(UpstreamError):
    """The answer ended early or is not acceptable HTTP; what the upstream did is unknown."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A whole answer. Header names are lower case; the body is as it was on the wire."""

    status: int
    headers: tuple[Header, ...]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


class Upstream:
    """One upstream at a fixed base URL, with connections and a deadline (seconds) of its own."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        connections: int = 100,
        pool_wait: float = 0.25,
        deadline: float = 5.0,
        max_bytes: int = 64 * 1024 * 1024,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
        ):
            raise ValueError(f"{name}: the base URL must be http(s)://host[:port][/path]")
        self.name = name
        self.base_url = base_url.rstrip("/")
        self._prefix = parts.path.rstrip("/").encode()
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._client = httpx.AsyncClient(
            transport=transport,
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=0),
            # One timer only: two that expire in one turn of the loop leave a stray cancellation behind (CPython 3.11).
            timeout=httpx.Timeout(None, pool=pool_wait),
        )

    async def fetch(
        self,
        method: str,
        target: bytes,
        headers: Iterable[Header] = (),
        body: bytes = b"",
        *,
        deadline: float | None = None,
    ) -> Reply:
        """One exchange. `target` is the raw path and query behind the base URL, sent as it is. Raises UpstreamError."""
        request = httpx.Request(
            method,
            self.base_url,
            headers=list(headers),
            content=body or None,
            extensions={
                "target": self._prefix + target,
                "timeout": self._client.timeout.as_dict(),
            },
        )
        # In a task of its own: cancelled inside the client's shielded close, asyncio.timeout of early 3.11 lets a stray
        # cancellation through to whoever waits.
        exchange = spawn(self._outcome(request), name=f"upstream.{self.name}")
        try:
            await asyncio.wait({exchange}, timeout=deadline or self._deadline)
        finally:
            late = not exchange.done()
            exchange.cancel()
        outcome = UpstreamTimeout(self.name) if late else exchange.result()
        if isinstance(outcome, UpstreamError):
            raise outcome
        return outcome

    async def _outcome(self, request: httpx.Request) -> Reply | UpstreamError:
        """A failure is data, since nobody may be waiting for it any more."""
        try:
            return await self._exchange(request)
        except UpstreamError as error:
            return error
        except httpx.PoolTimeout:
            return UpstreamBusy(self.name)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return UpstreamUnreachable(self.name)
        except httpx.TimeoutException:
            return UpstreamTimeout(self.name)
        except httpx.HTTPError:
            return UpstreamBroke(self.name)

    async def _exchange(self, request: httpx.Request) -> Reply:
        response = await self._client.send(request, stream=True)
        try:
            headers = tuple((name.lower(), value) for name, value in response.headers.raw)
            if not 200 <= response.status_code <= 599 or not _framed(
                request, response.status_code, headers
            ):
                raise UpstreamBroke(self.name)
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.aiter_raw():
                size += len(chunk)
                if size > self._max_bytes:
                    raise UpstreamBroke(self.name)
                chunks.append(chunk)
            return Reply(status=response.status_code, headers=headers, body=b"".join(chunks))
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def _framed(request: httpx.Request, status: int, headers: Sequence[Header]) -> bool:
    """A body that ends when the connection closes could be cut unnoticed; both framings at once are an attack."""
    if request.method == "HEAD" or status in (204, 304):
        return True
    names = [name for name, _ in headers]
    lengths, codings = names.count(b"content-length"), names.count(b"transfer-encoding")
    return (lengths, codings) in ((1, 0), (0, 1))
