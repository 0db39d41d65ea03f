"""`python -m sandbox.frontend --port P`: serves examples/frontend, from an origin of its own.

Static files and one answer that is made, /config.json: where the gateway and Supabase are. Every answer carries a
strict Content-Security-Policy, so that the page runs nothing but its own files and talks to those two alone.
"""

import argparse
import base64
import hashlib
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.logs import configure
from runtime.settings import Settings, load
from runtime.settingserror import SettingsError
from sandbox.ports import LOOPBACK

PAGE = Path(__file__).parents[1] / "examples" / "frontend"
_INLINE = re.compile(rb"<script type=\"importmap\">(.*?)</script>", re.DOTALL)


def create_app(settings: Settings) -> ASGIApp:
    """The whole server. Raises SettingsError for what is missing."""
    config = {
        "gateway_url": settings.need("gateway_url"),
        "supabase_url": settings.need("legacy_rest_url"),
        "publishable_key": settings.need("legacy_publishable_key"),
    }
    csp = content_security_policy(
        (PAGE / "index.html").read_bytes(), (config["gateway_url"], config["supabase_url"])
    )

    def show_config(_: Request) -> Response:
        return JSONResponse(config)

    return Starlette(
        routes=[
            Route("/healthz", _health),
            Route("/config.json", show_config),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ],
        middleware=[
            Middleware(Guards, csp=csp),
            # A page of somebody else's that points its own name at loopback must not get an answer.
            Middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK], www_redirect=False),
        ],
    )


def content_security_policy(page: bytes, peers: tuple[str, ...]) -> str:
    """What the page may do: run our files and its import map (by hash), and talk to `peers`. Nothing else."""
    inline = [base64.b64encode(hashlib.sha256(text).digest()) for text in _INLINE.findall(page)]
    hashes = "".join(f" 'sha256-{digest.decode()}'" for digest in inline)
    origins = "".join(f" {url.scheme}://{url.netloc}" for url in map(urlsplit, peers))
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self'{hashes}",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src 'self'{origins}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    )


class Guards:
    """The headers that keep a browser from doing more than the page needs, on every answer. Plain ASGI."""

    def __init__(self, app: ASGIApp, *, csp: str) -> None:
        self.app = app
        self.headers = {
            "Content-Security-Policy": csp,
            "Cache-Control": "no-cache",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, guarded)


def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def main() -> int:
    """Serves until SIGTERM or SIGINT; 2 when the configuration cannot be used."""
    arguments = argparse.ArgumentParser(prog="python -m sandbox.frontend", description=__doc__)
    arguments.add_argument("--port", type=int, default=8440)
    port: int = arguments.parse_args().port
    try:
        settings = load(profile="sandbox")
        app = create_app(settings)
    except SettingsError as error:
        sys.stderr.writelines(f"frontend: {problem}\n" for problem in error.problems)
        return 2
    configure("frontend", level=settings.log_level)
    config = uvicorn.Config(
        app,
        host=LOOPBACK,
        port=port,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
