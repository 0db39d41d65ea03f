"""The control API's edge: who asks, one log line per request, every error a problem document.

Plain ASGI round the Starlette application. Whoever is not signed in gets 401 and whoever is no operator 404, for every
path alike: nobody else learns what there is (http-rules section 6).
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException

from gateway.control_flags import Flags
from gateway.control_metrics import PATH as METRICS
from gateway.control_problem import (
    ControlError,
    KeysMissing,
    MethodNotAllowed,
    NotForYou,
    NotSignedIn,
    RoleNeeded,
    TooBusy,
    problem_for,
)
from gateway.credentials import SERVICE_KEY, user_token
from routes.problem import MEDIA_TYPE
from runtime.alertbell import AlertBell
from runtime.alertdesk import AlertDesk, EndsByItself
from runtime.alerts import Alerts
from runtime.audittrail import AuditTrail
from runtime.correlation import correlation_id
from runtime.flagset import FlagError
from runtime.flagstore import StoreUnavailable
from runtime.identity import Identity, TokenRefused, TooManyTokens
from runtime.jwks import KeysUnavailable
from runtime.revocationstore import RevocationStore

log = structlog.get_logger("control")

OPERATOR_ROLES = frozenset({"viewer", "operator", "approver", "compliance"})
OPEN_PATHS = frozenset({"/healthz"})
_PORT = re.compile(r":[0-9]{1,5}$", re.ASCII)


class Verifies(Protocol):
    """What is needed of runtime.identity.Verifier."""

    async def verify(self, token: bytes) -> Identity: ...


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A signed-in person with at least one operator role; any of them may read."""

    sub: str
    roles: frozenset[str]

    def need(self, *roles: str) -> None:
        """Raises RoleNeeded unless the operator has one of them."""
        if not self.roles & set(roles):
            raise RoleNeeded(*roles)


class WrongHost(ControlError):
    code = "wrong_host"


class ControlEdge:
    """Wraps the router; what it raises becomes a problem document. What it has no default for is set before the first request."""

    def __init__(
        self,
        app: Any,
        *,
        verifier: Verifies,
        allowed_hosts: Sequence[str],
        metrics_peers: Sequence[str],
        bell: AlertBell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.flags: Flags
        self.revocations: RevocationStore
        self.audit: AuditTrail
        self.alerts: Alerts
        self.desk: AlertDesk
        self.metrics: CollectorRegistry
        self._app = app
        self._verifier = verifier
        self._allowed_hosts = frozenset(allowed_hosts)
        self._metrics_peers = frozenset(metrics_peers)
        self._bell = bell
        self._clock = clock

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        began = self._clock()
        id_, _ = correlation_id(_all(scope, b"x-correlation-id"))
        told = _Told(send, id_)
        sub = "anonymous"
        try:
            self._check_host(scope)
            if not self._is_open(scope):
                scope["banyan.operator"] = operator = await self._identify(scope)
                sub = operator.sub
            # `app` makes Starlette's router raise what it would otherwise answer in plain text.
            scope.update(
                {
                    "app": self,
                    "banyan.flags": self.flags,
                    "banyan.revocations": self.revocations,
                    "banyan.audit": self.audit,
                    "banyan.alerts": self.alerts,
                    "banyan.desk": self.desk,
                    "banyan.metrics": self.metrics,
                }
            )
            await self._app(scope, receive, told.send)
        except HTTPException as error:
            allowed = (error.headers or {}).get("Allow", "")
            await told.problem(MethodNotAllowed(allowed) if allowed else NotForYou())
        except StoreUnavailable as error:
            log.exception("control.store_unavailable", correlation_id=id_)
            await told.problem(error)
        except (ControlError, EndsByItself, FlagError) as error:
            await told.problem(error)
        except (
            Exception
        ) as error:  # the edge: whatever nobody foresaw is a 500, logged by class and place
            log.exception("control.failed", correlation_id=id_)
            await told.problem(error)
        log.info(
            "control.request",
            correlation_id=id_,
            method=scope["method"],
            route=getattr(scope.get("route"), "path", "none"),
            status=told.status,
            sub=sub,
            duration_ms=round((self._clock() - began) * 1000, 3),
        )

    def _is_open(self, scope: Any) -> bool:
        """Without a token; to others /metrics is a path like all."""
        peer = scope["client"][0] if scope.get("client") else ""
        scrapes = scope["path"] == METRICS and peer in self._metrics_peers
        return scrapes or scope["path"] in OPEN_PATHS

    def _check_host(self, scope: Any) -> None:
        """A page on another name that resolves to loopback must not reach us."""
        hosts = _all(scope, b"host")
        name = _PORT.sub("", hosts[0].decode("latin-1")) if len(hosts) == 1 else ""
        if name not in self._allowed_hosts:
            raise WrongHost

    async def _identify(self, scope: Any) -> Operator:
        try:
            token = user_token(_only(scope, b"authorization"), _only(scope, b"apikey"))
            if token is None:
                raise NotSignedIn
            identity = await self._verifier.verify(token)
        except TokenRefused as refused:
            self._tell(refused)
            raise NotSignedIn from None
        except TooManyTokens:
            raise TooBusy from None
        except KeysUnavailable:
            raise KeysMissing from None
        if identity.is_anonymous:
            raise NotSignedIn
        roles = identity.operator_roles & OPERATOR_ROLES
        if not roles:
            raise NotForYou
        return Operator(sub=identity.sub, roles=roles)

    def _tell(self, refused: TokenRefused) -> None:
        if refused.reason == SERVICE_KEY:
            log.error("security.service_key", source="control")
            self._bell.pull()


class _Told:
    """What was sent so far, so that an error after the head is not answered twice."""

    def __init__(self, send: Any, id_: str) -> None:
        self._send = send
        self._id = id_
        self.status = 0

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [
                *message["headers"],
                (b"x-correlation-id", self._id.encode()),
                (b"cache-control", b"no-store"),
            ]
        await self._send(message)

    async def problem(self, error: Exception) -> None:
        if self.status:
            return
        answer = problem_for(error, self._id)
        headers = [
            (b"content-type", MEDIA_TYPE),
            (b"content-length", b"%d" % len(answer.body)),
            *((name.encode(), value.encode()) for name, value in answer.headers.items()),
        ]
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        await self.send(start)
        await self._send({"type": "http.response.body", "body": answer.body})


def _only(scope: Any, name: bytes) -> bytes | None:
    """The header's one value. Raises NotSignedIn for two: nobody knows who of them asks."""
    values = _all(scope, name)
    if len(values) > 1:
        raise NotSignedIn
    return values[0] if values else None


def _all(scope: Any, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]
