"""The control API, for operators only, on a listener of its own: `python -m gateway.control [--host H] [--port P]`.

GET    /flags                     every flag, floor, ceiling and epoch
GET    /flags/{entity}
POST   /flags/{entity}/ramp       {stage, percent, partition?, reason, approval?}
POST   /flags/{entity}/overrides  {stage, user | cohort | partner | role, partition?, reason, approval?}
DELETE /flags/{entity}/overrides  {user | cohort | partner | role, partition?, reason, approval?}
PUT    /entities/{entity}         {floor?, ceiling?, backfilled?, partition?, reason, approval?}
POST   /approvals                 {entity, change: {kind: ramp | set | unset | allow, …}}: an approver's yes to one change
GET    /explain                   ?user=<sub>&entity=…[&partition=][&role=][&partner=][&cohort=…]
GET    /history                   [?entity=][&before=<version>][&limit=]
POST   /panic, DELETE /panic      {reason}
GET    /revocations               who is let in no more although the token is good
POST   /revocations               {kind: sub | session | jti, value, reason}
DELETE /revocations/{id}          {reason}: lets in again
GET    /audit                     [?writer=[&before=<n>]][&limit=]: what was done, by whom and why, newest first
GET    /alerts                    [?resolved=true][&before=<id>][&limit=]: what has to be looked at
POST   /alerts/{id}/acknowledge   I am on it
POST   /alerts/{id}/resolve       {reason}: it is over; of the classes of which only a person can say so
GET    /healthz                   without a token
GET    /metrics                   without a token, for METRICS_PEERS

Viewers and compliance read, operators change, approvers approve and may panic. `If-Match: "<version>"` makes a change
conditional. There is no directory of users here: /explain takes the claims that the operator names.
"""

import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import orjson
import structlog
from starlette.routing import Router

from catalog.stage import Stage
from gateway import (
    control_alerts,
    control_audit,
    control_metrics,
    control_revocations,
    control_routes,
)
from gateway.control_edge import ControlEdge, Verifies
from gateway.control_flags import Flags, Rules
from runtime import redis, retry, tasks
from runtime.alertbell import AlertBell
from runtime.alertclass import SERVICE_KEY_REFUSED
from runtime.alertdesk import AlertDesk
from runtime.alertgauge import AlertGauge
from runtime.alertnotifier import keep_notified
from runtime.alerts import Alerts
from runtime.alertwebhook import HttpWebhook, Webhook
from runtime.auditanchor import AnchorFile
from runtime.auditchain import AuditChain
from runtime.audittrail import AuditTrail
from runtime.auditwatch import keep_anchored
from runtime.control_database import migrate_control
from runtime.flagset import FlagSet, first_flag_set, read_flag_set
from runtime.flagstore import FlagStore
from runtime.issuer import issuer_identities, issuer_keys, issuer_upstream
from runtime.postgres import create_pool
from runtime.published import Republishes, keep_published
from runtime.revocationfeed import RevocationFeed
from runtime.revocationstore import RevocationStore
from runtime.serve import arguments, serve
from runtime.settings import Settings

log = structlog.get_logger("control")


def create_app(settings: Settings, *, verifier: Verifies | None = None) -> "Control":
    """Everything real, put together; another verifier for tests. Raises SettingsError for what is missing."""
    settings.need_secret("control_database_url")
    settings.need_secret("redis_url")
    settings.need_keyring("audit_keys")
    closing = AsyncExitStack()
    revoked = None
    if verifier is None:
        keys, revoked = issuer_upstream(settings), RevocationFeed.of(settings)
        closing.push_async_callback(keys.close)
        verifier = issuer_identities(settings, issuer_keys(settings, keys), revoked=revoked)
    webhook = HttpWebhook.of(settings)
    if webhook is not None:
        closing.push_async_callback(webhook.upstream.close)
    return Control(settings, verifier, closing, revoked, webhook)


class Control:
    """The ASGI application."""

    def __init__(
        self,
        settings: Settings,
        verifier: Verifies,
        closing: AsyncExitStack,
        revoked: RevocationFeed | None,
        webhook: Webhook | None,
    ) -> None:
        self._settings = settings
        self._webhook = webhook
        self._closing = closing
        self._revoked = revoked
        self._bell = AlertBell(SERVICE_KEY_REFUSED, detail="control")
        self._edge = ControlEdge(
            Router(
                routes=[
                    *control_routes.ROUTES,
                    *control_revocations.ROUTES,
                    *control_audit.ROUTES,
                    *control_alerts.ROUTES,
                    *control_metrics.ROUTES,
                ]
            ),
            verifier=verifier,
            allowed_hosts=settings.allowed_hosts,
            metrics_peers=settings.metrics_peers,
            bell=self._bell,
        )

    async def start(self) -> None:
        """Bring the database up to date, found the flag set, and keep Redis informed from then on."""
        settings, dsn = self._settings, self._settings.need_secret("control_database_url")
        async for attempt in retry.retrying((OSError, asyncpg.PostgresError), retry.STARTING):
            with attempt:
                await migrate_control(dsn)
        pool = await create_pool(dsn, name="control", size=5)
        self._closing.push_async_callback(pool.close)
        client = redis.connect(settings.need_secret("redis_url"))
        self._closing.push_async_callback(client.aclose)
        audit = AuditChain(settings.need_keyring("audit_keys"), writer="control")
        store = FlagStore(pool, client, audit)
        found = await store.found(first(settings))
        revocations = RevocationStore(pool, client, audit)
        stores: tuple[Republishes, ...] = (store, revocations)
        for one in stores:
            self._keep(keep_published(one), name=f"{one.name}.keep_published")
        anchors = AnchorFile(settings.audit_anchor_file)
        self._keep(keep_anchored(pool, anchors), name="audit.keep_anchored")
        if self._webhook is not None:
            self._keep(keep_notified(pool, self._webhook), name="alerts.keep_notified")
        if self._revoked is not None:
            await self._revoked.start()
            self._closing.push_async_callback(self._revoked.stop)
        self._edge.flags = Flags(store, rules(settings), settings.kill_switch_file)
        self._edge.revocations = revocations
        self._edge.audit = AuditTrail(pool)
        self._edge.alerts = alerts = Alerts(pool)
        self._edge.desk = AlertDesk(pool, audit)
        gauge = AlertGauge(alerts)
        self._edge.metrics = control_metrics.registry_of(gauge)
        self._keep(gauge.keep(), name="alerts.keep_counted")
        self._keep(self._bell.keep(alerts), name="alerts.keep_rung")
        log.info("control.started", version=found.version, store=found.store)

    def _keep(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Beside the requests, until `stop`."""
        self._closing.push_async_callback(tasks.stop, tasks.spawn(work, name=name))

    async def stop(self) -> None:
        await self._closing.aclose()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._edge(scope, receive, send)
        elif scope["type"] == "lifespan":
            await receive()
            await self.start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.stop()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await send({"type": "websocket.close", "code": 1008})


def first(settings: Settings) -> FlagSet:
    """The flag set of a control database that has none: the release's file; the sandbox may go up to `complete` at once."""
    if settings.profile == "sandbox":
        return first_flag_set(Stage.COMPLETE)
    return read_flag_set(orjson.loads(settings.flags_file.read_bytes()), strict=True)


def rules(settings: Settings) -> Rules:
    """The sandbox relaxes both (decisions.md 18)."""
    careful = settings.profile == "production"
    return Rules(
        reason_required=careful,
        second_approver_points=settings.flags_second_approver_points if careful else None,
    )


def main() -> int:
    given = arguments("gateway.control", __doc__).parse_args()
    return serve("control", given, create_app, lambda s: (s.control_host, s.control_port))


if __name__ == "__main__":
    sys.exit(main())
