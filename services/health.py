"""/healthz: the process lives. /readyz: it can serve, that is, it reaches its database, whose schema is the one that
this code needs, and has the keys by which tokens are verified."""

import asyncpg
import msgspec
from starlette.responses import Response

from runtime.jwks import KeysUnavailable
from services.deps import Deps
from services.errors import RETRY_AFTER_SECONDS

_OK = "ok"


def alive() -> Response:
    """As long as the event loop turns."""
    return Response(b'{"status":"ok"}', media_type="application/json")


async def ready(deps: Deps) -> Response:
    """200 with every check `ok`, or 503 with a word per check."""
    database, migrations = await _schema(deps)
    checks = {"database": database, "migrations": migrations, "keys": await _keys(deps)}
    fine = set(checks.values()) == {_OK}
    return Response(
        msgspec.json.encode({"status": "ready" if fine else "not ready", "checks": checks}),
        status_code=200 if fine else 503,
        media_type="application/json",
        headers={} if fine else {"retry-after": RETRY_AFTER_SECONDS},
    )


async def _schema(deps: Deps) -> tuple[str, str]:
    try:
        rows = await deps.pool.fetch(f"select version from {deps.service}.schema_migrations")  # noqa: S608 - a name of ours
    except asyncpg.UndefinedTableError:
        return _OK, "missing"
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return "unreachable", "unknown"
    # A newer schema than this code's is fine: the release that brought it is being rolled out.
    return _OK, _OK if deps.migrations <= {row["version"] for row in rows} else "behind"


async def _keys(deps: Deps) -> str:
    if deps.keys is None:
        return _OK
    try:
        # Fetches are rare however often this is asked.
        await deps.keys.need()
    except KeysUnavailable:
        return "missing"
    return _OK
