"""`Gateway`: the server that client connections talk to, and the life of its process."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Protocol

import structlog

from gateway.call import Call
from gateway.deps import Deps
from gateway.edge.clients import Clients, Patience
from gateway.edge.connection import ClientConnection
from gateway.edge.head import Heads
from gateway.edge.request import Request
from gateway.edge.served import ServedConnection
from gateway.facts import Facts
from routes.refused import Unclear
from runtime import logs
from runtime.accessrecord import OTHER
from runtime.compiled.form import Form, form_of
from runtime.correlation import correlation_id, uuid7
from runtime.upstream.upstream import Upstream

log = structlog.get_logger("gateway")

FORM: Final = form_of(sys.modules["gateway.call"])
"""What this process runs (runtime/compiled/): each of the compiled modules, or none."""


class Feed(Protocol):
    """Something that is kept new beside the requests."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Gateway:
    """Answers clear requests and refuses the others; each gets exactly one record and one correlation id."""

    protocol: ClassVar[type[ServedConnection]] = ServedConnection
    """What uvicorn makes for each connection."""

    def __init__(self, deps: Deps, *, feeds: Sequence[Feed], upstreams: Sequence[Upstream]) -> None:
        settings = deps.settings
        self.deps = deps
        self.heads = Heads(hosts=settings.allowed_hosts, edges=settings.edge_addresses)
        self.clients = Clients(
            Patience(
                head=settings.client_header_seconds,
                body=settings.client_body_seconds,
                idle=settings.client_idle_seconds,
            ),
            per_address=settings.connections_per_address,
            exempt=settings.edge_addresses,
        )
        self._feeds = feeds
        self._upstreams = upstreams
        self._watch()

    @property
    def draining(self) -> bool:
        """Set by whoever runs the process, when it is asked to stop."""
        return self.deps.running.draining

    @draining.setter
    def draining(self, on: bool) -> None:
        self.deps.running.draining = on

    # --- what client connections ask for

    def begin(self, request: Request, client: ClientConnection) -> Call:
        if b"x-correlation-id" in request.headers:
            id_, rejected = correlation_id(request.all(b"x-correlation-id"))
        else:
            id_, rejected = uuid7(), False
        facts = Facts(id_, rejected, request.method, request.peer)
        call = Call(request, facts, client, self.deps, head=request.method == "HEAD")
        call.begin(request)
        return call

    def refuse(
        self,
        reason: Unclear,
        headers: dict[bytes, bytes],
        client: ClientConnection,
        *,
        head: bool,
    ) -> Call:
        given = headers.get(b"x-correlation-id")
        id_, rejected = correlation_id([] if given is None else [given])
        facts = Facts(id_, rejected, OTHER, client.address)
        facts.flags = self.deps.flags.current.version
        call = Call(None, facts, client, self.deps, head=head)
        call.fail(reason)
        return call

    # --- life

    async def start(self) -> None:
        """Learn the flags and the revocations; from then on the gateway can answer."""
        log.info("gateway.form", form=FORM)
        for feed in self._feeds:
            await feed.start()
        self.deps.records.open()
        self.deps.overload.start()
        self.deps.metrics.start()

    async def stop(self) -> None:
        self.clients.stop()
        self.deps.overload.stop()
        if self.deps.running.writes:
            # Their callers are gone; each has a deadline of its own.
            await asyncio.wait(self.deps.running.writes)
        for feed in self._feeds:
            await feed.stop()
        for one in self._upstreams:
            await one.close()
        self.deps.records.close()
        self.deps.metrics.stop()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI's lifespan, by which uvicorn starts and stops us. Requests never come this way: gateway.edge.served."""
        assert scope["type"] == "lifespan"  # noqa: S101 - the protocol class is ours
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _watch(self) -> None:
        """What the numbers of /metrics are read from."""
        deps, metrics = self.deps, self.deps.metrics
        metrics.watch_flags(
            lambda: deps.flags.current.version, lambda: deps.flags.staleness_seconds
        )
        metrics.watch(
            "banyan_compiled",
            "1 where every process runs the compiled form of the data plane",
            lambda: float(FORM is Form.COMPILED),
            across=min,
        )
        metrics.watch(
            "banyan_client_connections", "Open client connections", lambda: len(self.clients)
        )
        metrics.watch(
            "banyan_inflight_requests", "Requests being answered", lambda: len(deps.running.calls)
        )
        metrics.log_lines_dropped.follow(logs.dropped)
        metrics.watch("banyan_tasks", "Tasks of the event loop", lambda: len(asyncio.all_tasks()))
        for one in self._upstreams:
            self._watch_upstream(one)

    def _watch_upstream(self, one: Upstream) -> None:
        metrics = self.deps.metrics
        name, help_ = "banyan_upstream_connections", "Connections to an upstream"
        metrics.watch(
            name, help_, lambda: one.idle_connections, {"upstream": one.name, "state": "idle"}
        )
        metrics.watch(
            name,
            help_,
            lambda: one.connections - one.idle_connections,
            {"upstream": one.name, "state": "busy"},
        )
        metrics.watch(
            "banyan_breaker_open",
            "1 while an upstream is left alone",
            lambda: float(one.breaker.state != "closed"),
            {"upstream": one.name},
            across=max,
        )
        metrics.retries.follow(lambda: one.repeated, one.name)
