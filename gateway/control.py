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
GET    /healthz                   without a token

Viewers and compliance read, operators change, approvers approve and may panic. `If-Match: "<version>"` makes a change
conditional. There is no directory of users here: /explain takes the claims that the operator names.
"""

import sys
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import orjson
import structlog
from starlette.routing import Router

from catalog.stage import Stage
from gateway.control_edge import ControlEdge, Verifies
from gateway.control_flags import Flags, Rules
from gateway.control_routes import ROUTES
from runtime import redis, retry, tasks
from runtime.control_database import migrate_control
from runtime.flagset import FlagSet, first_flag_set, read_flag_set
from runtime.flagstore import FlagStore, keep_published
from runtime.identity import Verifier
from runtime.issuer import issuer_keys, issuer_upstream
from runtime.postgres import create_pool
from runtime.serve import arguments, serve
from runtime.settings import Settings

log = structlog.get_logger("control")


def create_app(settings: Settings, *, verifier: Verifies | None = None) -> "Control":
    """Everything real, put together; another verifier for tests. Raises SettingsError for what is missing."""
    settings.need_secret("control_database_url")
    settings.need_secret("redis_url")
    closing = AsyncExitStack()
    if verifier is None:
        keys = issuer_upstream(settings)
        closing.push_async_callback(keys.close)
        secret = settings.token_hs256_secret
        verifier = Verifier(
            issuer=settings.need("token_issuer"),
            keys=issuer_keys(settings, keys),
            hs256_secret=secret.get_secret_value() if secret else None,
        )
    return Control(settings, verifier, closing)


class Control:
    """The ASGI application."""

    def __init__(self, settings: Settings, verifier: Verifies, closing: AsyncExitStack) -> None:
        self._settings = settings
        self._closing = closing
        self._edge = ControlEdge(
            Router(routes=ROUTES), verifier=verifier, allowed_hosts=settings.allowed_hosts
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
        store = FlagStore(pool, client)
        found = await store.found(first(settings))
        keeper = tasks.spawn(keep_published(store), name="flags.keep_published")
        self._closing.push_async_callback(tasks.stop, keeper)
        self._edge.flags = Flags(store, rules(settings), settings.kill_switch_file)
        log.info("control.started", version=found.version, store=found.store)

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
