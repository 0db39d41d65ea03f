"""nginx from Debian: bare, and with Lua (LuaJIT) for the token and the flag."""

import signal
from pathlib import Path

from benchmarks.cost.crowd import AUDIENCE, SECRET
from benchmarks.cost.place import Place, program
from benchmarks.cost.processor import pinned
from benchmarks.cost.upstream import own_folder, temporary_folders
from benchmarks.cost.variant import Variant, Work
from catalog.stage import Side
from sandbox.children import Command

_MODULES = Path("/usr/lib/nginx/modules")
_CJSON = Path("/usr/lib/x86_64-linux-gnu/lua/5.1/cjson.so")
_LUA = Path(__file__).with_name("nginx_token.lua")

_CONFIG = """
{modules}
worker_processes 1;
daemon off;
{own_folder}
events {{ worker_connections 4096; }}
http {{
  {temporary}
  server_tokens off;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  proxy_http_version 1.1;
  proxy_buffers 8 16k;
  proxy_buffer_size 16k;
  upstream service {{ server 127.0.0.1:{service}; {keepalive} }}
  upstream legacy {{ server 127.0.0.1:{legacy}; {keepalive} }}
  {http}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_set_header Connection "";
      {location}
    }}
    {beside}
  }}
}}
"""
_KEEPALIVE = "keepalive 128; keepalive_requests 1000000000; keepalive_timeout 3600s;"

_FULL_HTTP = """
  lua_package_path "{folder}/?.lua;/usr/share/lua/5.1/?.lua;;";
  lua_package_cpath "/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;;";
  init_by_lua_block {{ token = require("nginx_token").open("{stages}", "{secret}", "{audience}", {cached}) }}
  map $http_x_correlation_id $cid {{ default $http_x_correlation_id; "" $request_id; }}
  log_format access escape=json
    '{{"ts":"$time_iso8601","cid":"$cid","sub":"$sub","side":"$side","method":"$request_method",'
    '"path":"$request_uri","status":$status,"seconds":$request_time}}';
  access_log access.log access buffer=64k flush=100ms;
"""
_FULL_LOCATION = """
      set $sub "";
      set $side "";
      rewrite_by_lua_block { token() }
      proxy_set_header X-Correlation-ID $cid;
      proxy_hide_header X-Correlation-ID;
      add_header X-Correlation-ID $cid always;
      proxy_pass http://$side;
"""


def _missing() -> str:
    return "" if program("nginx") else "nginx is not installed"


def _lua_missing() -> str:
    if _missing():
        return _missing()
    if not (_MODULES / "ngx_http_lua_module.so").exists():
        return "libnginx-mod-http-lua is not installed"
    return "" if _CJSON.exists() else "lua-cjson is not installed"


def _bare(place: Place) -> Command:
    return _command(
        place, modules="", http="access_log off;", location="proxy_pass http://service;"
    )


def _mirroring(place: Place) -> Command:
    """Every request is sent once more, and that answer is read and dropped."""
    return _command(
        place,
        modules="",
        http="access_log off;",
        location="mirror /mirror; proxy_pass http://service;",
        beside='location = /mirror { internal; proxy_set_header Connection ""; proxy_pass http://service$request_uri; }',
    )


def _full(place: Place, *, cached: bool) -> Command:
    place.write(_LUA.name, _LUA.read_text())
    modules = ("ndk_http_module.so", "ngx_http_lua_module.so")
    return _command(
        place,
        modules="\n".join(f"load_module {_MODULES / module};" for module in modules),
        http=_FULL_HTTP.format(
            folder=place.folder,
            stages=place.write_stages(),
            secret=SECRET,
            audience=AUDIENCE,
            cached=str(cached).lower(),
        ),
        location=_FULL_LOCATION,
    )


def _command(place: Place, *, modules: str, http: str, location: str, beside: str = "") -> Command:
    config = _CONFIG.format(
        modules=modules,
        own_folder=own_folder(),
        temporary=temporary_folders(),
        port=place.port,
        service=place.upstream.port(Side.SERVICE),
        legacy=place.upstream.port(Side.LEGACY),
        keepalive=_KEEPALIVE,
        http=http,
        location=location,
        beside=beside,
    )
    path = str(place.write("nginx.conf", config))
    return Command(
        name="nginx",
        argv=pinned(place.cores.gateway, program("nginx"), "-p", str(place.folder), "-c", path),
        log=place.folder / "nginx.log",
        environment=place.environment,
        death_signal=signal.SIGTERM,  # its worker would outlive a master that is killed
    )


_UNEQUAL = "its log line is made from a template; any X-Correlation-ID is accepted as it is"

VARIANTS = (
    Variant(
        name="nginx + Lua, verified tokens cached",
        work=Work.FULL,
        missing=_lua_missing,
        command=lambda place: _full(place, cached=True),
        unequal=_UNEQUAL,
    ),
    Variant(
        name="nginx + Lua, verified each time",
        work=Work.FULL,
        missing=_lua_missing,
        command=lambda place: _full(place, cached=False),
        unequal=_UNEQUAL,
    ),
    Variant(name="nginx proxy_pass", work=Work.BARE, missing=_missing, command=_bare),
)

MIRRORING = Variant(
    name="nginx mirror", work=Work.BARE, missing=_missing, command=_mirroring, asks_behind=True
)
"""For the cost of a shadow, not one of the table: whoever is measured there does one request's work."""
