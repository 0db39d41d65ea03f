"""`RequestReader`: bytes of one connection in, requests out, or the reason why nothing behind this point can be read.

The parser is httptools (llhttp) without any leniency; h11 lets through what this project refuses. What the parser finds
clear is still judged by `gateway.edge.head`, and sizes are bounded before anything is kept.
"""

from collections.abc import Callable
from typing import Final

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from gateway.edge.body import Body
from gateway.edge.head import LARGEST_HEADERS, MOST_HEADERS, Heads
from gateway.edge.request import Request
from gateway.edge.target import LONGEST_TARGET
from routes.match import streamed_most
from routes.refused import (
    HeadersTooLarge,
    Malformed,
    NotImplementedHere,
    Unclear,
    UriTooLong,
)
from runtime.headernames import LOWER

_MOST_HEAD: Final = LONGEST_TARGET + LARGEST_HEADERS + 4 * MOST_HEADERS
_MOST_EXTENSIONS: Final = 4096
_CHUNK_FRAME: Final = 8
"""Bytes round a chunk's data that are no extension: two line ends, and a size of four digits; longer ones are rare."""
_PIECE: Final = 128
_BLANK: Final = 0x20
_BODY_IS_DROPPED: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class RequestReader:
    """Feed it, then take what has `arrived`; httptools calls its `on_` methods."""

    def __init__(
        self,
        heads: Heads,
        address: str,
        *,
        proceed: Callable[[], None],
        hold: Callable[[bool], None],
    ) -> None:
        """`proceed` is called when somebody wants a body whose sender waits for `100 Continue`; `hold` stops the client while
        nobody can take more of a streamed one."""
        self._heads = heads
        self._address = address
        self._proceed = proceed
        self._hold = hold
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self.arrived: list[tuple[Request, bool]] = []
        """Requests, and whether the connection may live after each. Those with a body come before it has arrived."""
        self.refusal: Unclear | None = None
        """Nothing behind the arrived requests can be understood."""
        self.ended = False
        """Nothing behind the arrived requests is to be read."""
        self.in_head = False
        self.body: Body | None = None
        """The one that is arriving."""
        self.headers: dict[bytes, bytes] = {}
        self._repeated: list[tuple[bytes, bytes]] = []
        self._unusual = False
        """A header's name is not among the usual ones."""
        self._target = b""
        self._size = 0
        self._head_bytes = 0
        self._begun = 0
        self._wire_bytes = 0
        self._body_bytes = 0
        self._chunks = 0
        self._chunked = False
        self._request: Request | None = None
        self._keep = True

    def feed(self, data: bytes) -> None:
        """Never raises for what the client sent."""
        if self._chunked or (len(data) > _MOST_EXTENSIONS and b"chunked" in data.lower()):
            # The parser does not tell how many bytes were extensions: small pieces let us count well enough.
            for start in range(0, len(data), _PIECE):
                if self.refusal is None and not self.ended:
                    self._feed(data[start : start + _PIECE])
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            return
        in_head, self._begun = self.in_head, 0
        was_chunked, self._wire_bytes = self._chunked, self._wire_bytes + len(data)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            self.ended = True  # not taken up; what is behind it may be anything
        except HttpParserCallbackError as error:
            self.refusal = _told(error)
        except HttpParserInvalidMethodError:
            self.refusal = NotImplementedHere()
        except HttpParserError:
            self._broken()
        if self.in_head and (in_head or self._begun == 1):
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD and self.refusal is None:
                self.refusal = HeadersTooLarge()
        if (was_chunked or self._chunked) and self.refusal is None:
            self._check_extensions()

    @property
    def is_head(self) -> bool:
        """The request that cannot be read further is a HEAD, as far as can be told: the parser remembers the one before."""
        parser = self._parser
        known = bool(self._target) if self.in_head else self.body is not None
        return known and parser is not None and parser.get_method() == b"HEAD"

    def forget(self) -> None:
        """The connection is over: parser and reader hold each other, and would stay until the collector comes by."""
        self._parser = None
        self.refusal = self._request = self.body = None

    def _broken(self) -> None:
        """A request that said it is the last one may be followed by anything."""
        if self._keep or self.in_head:
            self.refusal = Malformed()
        else:
            self.ended = True

    def _check_extensions(self) -> None:
        frames = _CHUNK_FRAME * (self._chunks + 1)
        if self._wire_bytes - self._body_bytes - frames > _MOST_EXTENSIONS + _PIECE:
            self.refusal = Malformed()

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        self.in_head = True
        self._begun += 1
        self.headers = {}
        self._repeated = []
        self._target = b""
        self._size = self._head_bytes = 0
        self._unusual = False

    def on_url(self, part: bytes) -> None:
        self._target += part
        if len(self._target) > LONGEST_TARGET:
            raise UriTooLong

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value) + 4
        if self._size > LARGEST_HEADERS:
            raise HeadersTooLarge
        if not self.in_head:
            return  # a trailer: dropped
        lower = LOWER.get(name)
        if lower is None:
            lower = name.lower()
            self._unusual = True
        if value and value[-1] <= _BLANK:
            value = value.strip(b" \t")  # the parser leaves a tab behind the value
        if lower in self.headers:
            self._repeated.append((lower, value))
        else:
            self.headers[lower] = value

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self.headers
        assert parser is not None  # noqa: S101 - it is the one who calls
        # After the message is complete the parser has forgotten it.
        self._keep = parser.should_keep_alive() and b"upgrade" not in headers
        request = self._heads.request(
            parser.get_method(),
            parser.get_http_version(),
            self._target,
            headers,
            self._repeated,
            self._address,
            unusual=self._unusual,
        )
        self.in_head = False
        if b"content-length" in headers or b"transfer-encoding" in headers:
            self._expect_body(request)
        else:
            self._request = request

    def _expect_body(self, request: Request) -> None:
        headers = self.headers
        waits = b"expect" in headers
        body = Body(
            announced=int(headers.get(b"content-length", b"0")),
            wanted=self._proceed if waits else _nothing,
            streamed_most=streamed_most(request.path) if request.method == "PUT" else 0,
            hold=self._hold,
        )
        self.body = body
        self._chunked = b"transfer-encoding" in headers
        self._chunks = self._wire_bytes = self._body_bytes = 0
        if request.method in _BODY_IS_DROPPED:
            self._request = request  # answered when its body is out of the way
        else:
            request.body = body
            self.arrived.append((request, self._keep))

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, data: bytes) -> None:
        assert self.body is not None  # noqa: S101 - the head announced it
        self._body_bytes += len(data)
        self.body.feed(data)

    def on_message_complete(self) -> None:
        if self.body is not None:
            self.body.end()
            self.body = None
            self._chunked = False
        if self._request is not None:
            self.arrived.append((self._request, self._keep))
            self._request = None


def _told(error: HttpParserCallbackError) -> Unclear:
    """What a callback raised. Anything but a refusal is our mistake, and goes on."""
    reason = error.__context__
    if not isinstance(reason, Unclear):
        raise error
    # The frames of its way here hold the bytes that were refused.
    reason.__context__ = None
    return reason.with_traceback(None)


def _nothing() -> None:
    """The sender does not wait for us."""
