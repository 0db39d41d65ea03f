"""`Call`: one request and its one answer, from the head to the last byte.

The answer's last byte waits for the PHI access record (decisions.md 34). An answer of one side goes through as it comes,
by callbacks: no task, no copy of a context. Everything that needs more than one question runs in a task.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final

import structlog

from gateway import cors
from gateway.deps import Deps
from gateway.edge.body import ClientGone
from gateway.edge.connection import ClientConnection
from gateway.edge.request import Request
from gateway.errors import EXPECTED, code_of, extra_headers, outcome_of
from gateway.facts import Facts
from gateway.forward import Forward, Instead
from gateway.pipeline import handle
from gateway.plain_pages import PLAIN
from gateway.response import NO_STORE, Header, Response, encode_head, encode_lines
from gateway.service_side import refusal
from gateway.shadowing.told import Told
from routes.problem import MEDIA_TYPE, PROBLEMS, problem_body
from routes.refused import NotFound, Refused, Unclear
from runtime.accessrecord import many
from runtime.tasks import spawn
from runtime.upstream.errors import UpstreamError
from runtime.upstream.exchange import Exchange

log = structlog.get_logger("gateway")

LEFT: Final = 499
"""Status in records and counts of a request whose client did not wait for the answer."""
_ROWS: Final = b"x-banyan-rows"
_RETRIED: Final = b"x-retry-count"
"""supabase-js repeats reads by itself and says so: such a repetition is charged to the retry budget."""
_PASSED_HEADERS: Final = frozenset(
    {
        *(b"content-encoding", b"etag", b"preference-applied"),
        *(b"content-disposition", b"repr-digest", b"retry-after"),
    }
)
_WANTED: Final = _PASSED_HEADERS | {b"content-type", b"content-length", _ROWS}
_NO_STORE_LINE: Final = encode_lines((NO_STORE,))


class Call:
    """Made per request. After `begin` it lives by what the client, the upstream and the record sink tell it."""

    __slots__ = (
        "_began",
        "_chunked",
        "_client",
        "_deps",
        "_done",
        "_exchange",
        "_held",
        "_instead",
        "_is_head",
        "_says",
        "_sent",
        "_status",
        "_task",
        "_told",
        "_upstream",
        "facts",
        "request",
    )

    def __init__(
        self,
        request: Request | None,
        facts: Facts,
        client: ClientConnection,
        deps: Deps,
        *,
        head: bool,
    ) -> None:
        """`request` is None for what was no clear request; `head`: the answer has no body."""
        self.request = request
        self._is_head = head
        self.facts = facts
        self._client = client
        self._deps = deps
        self._began = deps.clock()
        self._exchange: Exchange | None = None
        self._upstream = ""
        self._instead: Instead | None = None
        self._task: asyncio.Task[None] | None = None
        self._says = False
        self._held = b""
        self._status = 0
        self._sent = False
        """Part of the answer is out."""
        self._chunked = self._done = False
        self._told: Told | None = None
        """What is compared with another side's answer, if that is to be done."""
        deps.running.calls.add(self)

    # --- the way

    def begin(self, request: Request) -> None:
        try:
            if self._deps.overload.shed() and request.path not in PLAIN:
                self._deps.metrics.shed.inc("queue")
                self._problem("overloaded")
            elif cors.is_preflight(request):
                self.respond(
                    cors.preflight(cors.allowed_origin(request, self._deps.settings.cors_origins))
                )
            else:
                self._go(handle(request, self.facts, self._deps))
        except EXPECTED as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001 - the edge: whatever nobody foresaw is a 500
            self._surprise(error)

    def _go(self, answer: "Response | Forward | Coroutine[Any, Any, Response | Forward]") -> None:
        if isinstance(answer, Forward):
            self._upstream, self._instead = answer.upstream.name, answer.instead
            self._says = answer.says
            self._exchange = answer.upstream.begin_head(
                "GET",
                answer.head,
                self,
                deadline=answer.deadline,
                echo=self.facts.wire_id,
                repeated=self.request is not None and _RETRIED in self.request.headers,
            )
            if self._done:
                self._exchange.cancel()
        elif isinstance(answer, Response):
            self.respond(answer)
        else:
            self._task = spawn(self._run(answer), name="gateway.call")

    async def _run(self, answering: "Coroutine[Any, Any, Response | Forward]") -> None:
        try:
            answer = await answering
            self._task = None
            self._go(answer)
        except ClientGone:
            pass  # connection_lost has told `gone`
        except EXPECTED as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001 - the edge, see `begin`
            self._surprise(error)

    # --- answers that are whole

    def respond(self, response: Response) -> None:
        data = self._head(
            response.status,
            encode_lines(response.headers),
            response.content_type,
            len(response.body),
        )
        if not self._is_head and response.status not in (204, 304):
            data += response.body
        if self.facts.compared is not None:
            self._tell(response.status, response.content_type, response.headers).take(response.body)
        self._end(response.status, data)

    def fail(self, error: Exception) -> None:
        """Answer with the problem that this error is."""
        if isinstance(error, Unclear):
            self._client.keep = False
        refused = error if isinstance(error, Refused) else None
        self._problem(
            code_of(error),
            extra_headers(error),
            () if refused is None else refused.errors,
            None if refused is None else refused.legal,
            outcome_of(error),
        )

    def _problem(
        self, code: str, extra: Any = (), errors: Any = (), legal: Any = None, outcome: str = ""
    ) -> None:
        self.facts.code = code
        status = PROBLEMS[code].status
        if status == 503 and not extra:
            extra = [(b"retry-after", b"1")]
        self.respond(
            Response(
                status=status,
                body=problem_body(
                    code, self.facts.correlation_id, errors, legal=legal, outcome=outcome
                ),
                content_type=MEDIA_TYPE,
                headers=(NO_STORE, *extra),
            )
        )

    def _surprise(self, error: Exception) -> None:
        log.error(
            "request.failed",
            correlation_id=self.facts.correlation_id,
            route=self.facts.route,
            exc_info=error,
        )
        if self._sent:
            self._broke_off()
        elif not self._done:
            self._problem("internal")

    # --- an answer that goes through (runtime.upstream.exchange.Receiver)

    def answered(self, status: int, headers: list[Header], data: bytes, end: bool) -> None:
        if self._done:
            return
        exchange = self._exchange
        if end or status not in (200, 304):
            self._exchange = None  # they hold each other, and should not wait for the collector
        try:
            self._answered(status, headers, data, end, exchange)
        except Exception as error:  # noqa: BLE001 - the edge, see `begin`
            self._surprise(error)

    def _answered(
        self,
        status: int,
        headers: list[Header],
        data: bytes,
        end: bool,
        exchange: Exchange | None,
    ) -> None:
        kept, content_type, length = self._kept(headers)
        if status not in (200, 304):
            if not self._may_say(status, content_type):
                if exchange is not None and not end:
                    exchange.cancel()
                return
            self._exchange = None if end else exchange
        if self.facts.compared is not None:
            self._tell(status, content_type or b"", headers)
        whole = len(data) if end else length
        wire = self._head(status, kept, content_type, whole)
        if status == 304 or self._is_head:
            self._drop_exchange(end)
            self._end(status, wire)
        elif end:
            if self._told is not None:
                self._told.take(data)
            self._end(status, wire + data)
        else:
            self._status, self._sent, self._chunked = status, True, whole is None
            self._client.send(wire)
            self.more(data, False)

    def _may_say(self, status: int, content_type: bytes | None) -> bool:
        """Whether the service tells the caller by itself that it refuses: in a problem document. Else we have seen to it."""
        if self._says and 400 <= status < 500 and status != 401 and content_type == MEDIA_TYPE:
            return True
        missing = status == 404 and self.facts.single
        instead = self._instead
        if missing and instead is not None:
            self._ask(instead, None)
        elif missing and content_type != MEDIA_TYPE:
            self.fail(NotFound())
        elif not missing and (status != 400 or content_type != MEDIA_TYPE):
            self._not_answered(refusal(status, self._upstream))
        else:
            self.facts.code = "not_found" if missing else "invalid_query"
            return True
        return False

    def _kept(self, headers: list[Header]) -> tuple[bytes, bytes | None, int | None]:
        """What goes on to the client, and content type and length."""
        kept = _NO_STORE_LINE
        content_type = length = None
        for name, value in headers:
            if name in _WANTED:
                if name == b"content-type":
                    content_type = value
                elif name == b"content-length":
                    length = int(value)
                elif name in _PASSED_HEADERS:
                    kept += b"%b: %b\r\n" % (name, value)
                elif value.isdigit() and not self.facts.single:
                    self.facts.resource = many(int(value))
        return kept, content_type, length

    def more(self, data: bytes, end: bool) -> None:
        if self._done:
            return
        if self._told is not None:
            self._told.take(data)
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            data += b"0\r\n\r\n" if end else b""
        if end:
            self._exchange = None
            self._end(self._status, data)
        elif data:
            self._client.send(data)

    def failed(self, error: UpstreamError) -> None:
        self._exchange = None
        if self._done:
            return
        if self._sent:
            log.warning(
                "answer.cut_off",
                correlation_id=self.facts.correlation_id,
                route=self.facts.route,
                upstream=error.upstream,
                reason=type(error).__name__,
            )
            self._broke_off()
        else:
            self._not_answered(error)

    def _not_answered(self, error: Exception) -> None:
        """Of the answer nothing has been sent."""
        instead = self._instead
        if instead is not None and isinstance(error, UpstreamError):
            self._ask(instead, error)
        else:
            self.fail(error)

    def _ask(self, instead: Instead, error: UpstreamError | None) -> None:
        """Legacy, once."""
        self._instead = None
        self._go(instead(error))

    def drained(self) -> None:
        """Reads have no body."""

    def _tell(self, status: int, content_type: bytes, headers: Iterable[Header]) -> Told:
        """What is compared begins here."""
        etag = b""
        for name, value in headers:
            if name == b"etag":
                etag = value
        told = self._told = Told(status, content_type, etag)
        return told

    def _drop_exchange(self, ended: bool) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None and not ended:
            exchange.cancel()

    # --- what the client does (gateway.edge.connection.Call)

    def pause(self) -> None:
        if self._exchange is not None:
            self._exchange.pause()

    def resume(self) -> None:
        if self._exchange is not None:
            self._exchange.resume()

    def gone(self) -> None:
        """Nobody waits for the answer: stop asking for it. There is a record all the same."""
        if self._done:
            return
        self._drop_exchange(ended=False)
        if self._task is not None:
            self._task.cancel()
        self._finish(LEFT, "unknown" if self._sent else "failed", None)

    # --- the end

    def _head(
        self, status: int, lines: bytes, content_type: bytes | None, length: int | None
    ) -> bytes:
        facts, deps, client = self.facts, self._deps, self._client
        lines += b"x-correlation-id: %b\r\n" % facts.wire_id
        request, user = self.request, facts.user
        if request is not None and b"origin" in request.headers:
            origin = cors.allowed_origin(request, deps.settings.cors_origins)
            lines += encode_lines(cors.origin_headers(origin))
        else:
            lines += cors.VARY
        if user is not None and user.operator:
            route = f"{facts.side};stage={facts.stage};flags={facts.flags}"
            lines += b"x-banyan-route: %b\r\n" % route.encode()
        if deps.running.draining:
            client.keep = False
        return encode_head(
            status, lines, content_type=content_type, length=length, close=client.closes
        )

    def _end(self, status: int, data: bytes) -> None:
        """The answer's last bytes, which wait for the record. Whoever comes second (the client has left) is not heard."""
        if self._done:
            return
        self._held = data
        self._finish(status, _outcome(status), self)

    def _broke_off(self) -> None:
        """Part of the answer is out, and the rest will not come: it must not look complete."""
        self._finish(self._status, "failed", None)
        self._client.abort()

    def _finish(self, status: int, outcome: str, waiter: "Call | None") -> None:
        self._done = True
        facts, deps = self.facts, self._deps
        deps.running.calls.discard(self)
        self._status = status
        seconds = deps.clock() - self._began
        if self._told is not None:
            self._told.seconds = seconds
        deps.records.append(facts.line(status, seconds, outcome), waiter)
        deps.tally.count(facts.route, facts.method, facts.side, facts.stage, status, seconds)

    def recorded(self, ok: bool) -> None:
        """The record is there, or cannot be: then nothing of a patient is given (phi-rules section 3)."""
        client = self._client
        if not ok:
            self._deps.metrics.access_records_failed.inc()
            if self.facts.entity and self._status < 400:
                if self._sent:
                    client.abort()
                    return
                self._held = self._unrecorded()
                self._told = None
        client.send(self._held)
        client.finish()
        told, request, shadows = self._told, self.request, self._deps.shadows
        if told is not None and request is not None and shadows is not None:
            shadows.begin(request, self.facts, told)

    def _unrecorded(self) -> bytes:
        body = problem_body("not_recorded", self.facts.correlation_id)
        lines = encode_lines((NO_STORE, (b"retry-after", b"1")))
        head = self._head(PROBLEMS["not_recorded"].status, lines, MEDIA_TYPE, len(body))
        return head if self._is_head else head + body


def _outcome(status: int) -> str:
    if status < 400:
        return "success"
    return "denied" if status < 500 else "failed"
