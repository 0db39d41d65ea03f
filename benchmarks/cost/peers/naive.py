"""What one writes first: Starlette, three BaseHTTPMiddleware, one shared httpx.AsyncClient, PyJWT, a structlog line.

`python -m benchmarks.cost.peers.naive CONFIG.json` is the gateway; it runs in the project's own environment.
"""

import json
import logging
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import (
    BaseHTTPMiddleware,  # noqa: TID251 - what is measured here is what it costs
    RequestResponseEndpoint,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.cost.crowd import AUDIENCE, SECRET
from benchmarks.cost.place import ROOT, Place
from benchmarks.cost.processor import pinned
from benchmarks.cost.variant import Variant, Work
from catalog.stage import Side
from sandbox.children import Command


def _command(place: Place, *, cached: bool) -> Command:
    config = {
        "port": place.port,
        "cached": cached,
        "stages": str(place.write_stages()),
        "service": place.upstream.url(Side.SERVICE),
        "legacy": place.upstream.url(Side.LEGACY),
        "log": str(place.access_log),
    }
    path = str(place.write("config.json", json.dumps(config)))
    return Command(
        name="naive",
        argv=pinned(place.cores.gateway, sys.executable, "-m", __name__, path),
        log=place.folder / "naive.log",
        environment=place.environment,
        folder=ROOT,
    )


_UNEQUAL = "runs with sniffio, which this project installs beside httpx and pip alone does not: without it httpx costs more"

VARIANTS = (
    Variant(
        name="naive Starlette + httpx, verified tokens cached",
        work=Work.FULL,
        missing=lambda: "",
        command=lambda place: _command(place, cached=True),
        slow=True,
        unequal=_UNEQUAL,
    ),
    Variant(
        name="naive Starlette + httpx, verified each time",
        work=Work.FULL,
        missing=lambda: "",
        command=lambda place: _command(place, cached=False),
        slow=True,
        unequal=_UNEQUAL,
    ),
)


def create_app(config: dict[str, Any]) -> Starlette:
    """The naive gateway."""
    with open(config["stages"]) as file:
        stages = json.load(file)
    verify = _remembering(_verify) if config["cached"] else _verify
    client = httpx.AsyncClient(timeout=5, trust_env=False)
    access = structlog.get_logger("access")

    async def log(request: Request, call_next: RequestResponseEndpoint) -> Response:
        began = time.perf_counter()
        response = await call_next(request)
        access.info(
            "request",
            cid=request.state.cid,
            sub=getattr(request.state, "sub", ""),
            side=getattr(request.state, "side", ""),
            method=request.method,
            path=request.url.path,
            status=response.status_code,
            ms=round((time.perf_counter() - began) * 1000, 3),
        )
        return response

    async def correlate(request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.state.cid = request.headers.get("x-correlation-id") or str(uuid.uuid4())
        response = await call_next(request)
        response.headers["x-correlation-id"] = request.state.cid
        return response

    async def authenticate(request: Request, call_next: RequestResponseEndpoint) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            request.state.sub = verify(token)["sub"]
        except jwt.PyJWTError:
            return JSONResponse({"error": "unauthenticated"}, status_code=401)
        return await call_next(request)

    async def proxy(request: Request) -> Response:
        legacy = stages.get(request.state.sub, "legacy") == "legacy"
        request.state.side = "legacy" if legacy else "service"
        answer = await client.request(
            request.method,
            f"{config[request.state.side]}{request.url.path}?{request.url.query}",
            headers={
                "authorization": request.headers["authorization"],
                "x-correlation-id": request.state.cid,
            },
            content=await request.body(),
        )
        return Response(
            answer.content, answer.status_code, media_type=answer.headers["content-type"]
        )

    return Starlette(
        routes=[Route("/{path:path}", proxy, methods=["GET", "POST", "PATCH", "DELETE"])],
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=correlate),
            Middleware(BaseHTTPMiddleware, dispatch=log),
            Middleware(BaseHTTPMiddleware, dispatch=authenticate),
        ],
    )


def _verify(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, SECRET, algorithms=["HS256"], audience=AUDIENCE)
    return claims


def _remembering(verify: Callable[[str], dict[str, Any]]) -> Callable[[str], dict[str, Any]]:
    known: dict[str, dict[str, Any]] = {}

    def verified(token: str) -> dict[str, Any]:
        claims = known.get(token)
        if claims is None or claims["exp"] <= time.time():
            claims = known[token] = verify(token)
        return claims

    return verified


def main(path: str) -> None:
    with open(path) as file:
        config = json.load(file)
    log = open(config["log"], "a", buffering=1)  # noqa: SIM115 - as long as the process
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(log),
    )
    uvicorn.run(
        create_app(config),
        host="127.0.0.1",
        port=config["port"],
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main(sys.argv[1])
