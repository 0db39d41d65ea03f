"""The API edge in front of everything: the label on every answer, and the API key. Plain ASGI.

Stand-in, not PostgREST, never for production.
"""

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.supabase.caller import refuse_api_key
from sandbox.supabase.keys import Keyring

LABEL = ("X-Banyan-Standin", "1")

CORS_METHODS: Sequence[str] = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS")
CORS_HEADERS: Sequence[str] = (
    *("authorization", "x-client-info", "apikey", "content-type", "accept-profile"),
    *("content-profile", "prefer", "range", "x-upsert", "cache-control", "x-retry-count"),
    *("x-supabase-api-version", "x-correlation-id", "idempotency-key", "traceparent"),
    *("tracestate", "baggage", "tus-resumable", "upload-length", "upload-metadata"),
    *("upload-offset", "upload-defer-length", "upload-concat"),
)
CORS_EXPOSED: Sequence[str] = (
    *("Content-Range", "Content-Location", "Location", "Preference-Applied"),
    "X-Correlation-ID",
)

_NEEDS_KEY = ("/rest/v1/", "/auth/v1/")
_OPEN = (
    "/auth/v1/verify",
    "/auth/v1/callback",
    "/auth/v1/authorize",
    "/auth/v1/.well-known/jwks.json",
)


class Label:
    """Says on every answer what this is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def labelled(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                MutableHeaders(scope=message).setdefault(*LABEL)
            await send(message)

        await self.app(scope, receive, labelled)


class ApiKey:
    """Refuses REST and Auth calls without a good key. Storage and the key set are open here, as on hosted projects."""

    def __init__(self, app: ASGIApp, *, keys: Keyring) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _needs_key(scope["path"]):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = refuse_api_key(headers.get("apikey"), headers.get("user-agent"), self.keys)
        await (refusal or self.app)(scope, receive, send)


def _needs_key(path: str) -> bool:
    return f"{path}/".startswith(_NEEDS_KEY) and path not in _OPEN
