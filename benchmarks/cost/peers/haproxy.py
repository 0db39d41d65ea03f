"""HAProxy from Debian (2.6): bare, and with jwt_verify and a map. It has no cache of verified tokens."""

from benchmarks.cost.crowd import AUDIENCE, SECRET
from benchmarks.cost.place import Place, program
from benchmarks.cost.processor import pinned
from benchmarks.cost.variant import Variant, Work
from catalog.stage import Side
from sandbox.children import Command

_CONFIG = """
global
  nbthread 1
  maxconn 4096
  log stdout len 4096 format raw local0
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  http-reuse always
  option http-keep-alive
  {defaults}
frontend gateway
  bind 127.0.0.1:{port}
  {frontend}
  default_backend service
backend service
  server one 127.0.0.1:{service} pool-max-conn -1 pool-purge-delay 1h
backend legacy
  server one 127.0.0.1:{legacy} pool-max-conn -1 pool-purge-delay 1h
"""

_FULL = """
  http-request set-header X-Correlation-ID %[uuid()] unless {{ req.hdr(x-correlation-id) -m found }}
  http-request set-var(txn.cid) req.hdr(x-correlation-id)
  http-after-response set-header X-Correlation-ID %[var(txn.cid)]
  http-request set-var(txn.token) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_header_query('$.alg') -m str HS256 }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(HS256,"{secret}") -m int 1 }}
  http-request set-var(txn.claims) var(txn.token),word(2,.),ub64dec
  http-request deny deny_status 401 unless {{ var(txn.claims),json_query('$.aud') -m str {audience} }}
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.claims),json_query('$.exp','int'),sub(txn.now) -m int gt 0 }}
  http-request set-var(txn.sub) var(txn.claims),json_query('$.sub')
  use_backend legacy if {{ var(txn.sub),map_str({stages},legacy) -m str legacy }}
  log global
  log-format '{{"ts":%Ts,"cid":"%[var(txn.cid)]","sub":"%[var(txn.sub)]","side":"%b","method":"%HM","path":"%HU","status":%ST,"ms":%Ta}}'
"""


def _missing() -> str:
    return "" if program("haproxy") else "haproxy is not installed"


def _full(place: Place) -> Command:
    lines = "".join(f"{sub} {stage}\n" for sub, stage in place.crowd.stages.items())
    stages = place.write("stages.map", lines)
    return _command(
        place, frontend=_FULL.format(secret=SECRET, audience=AUDIENCE, stages=stages), defaults=""
    )


def _bare(place: Place) -> Command:
    return _command(place, frontend="", defaults="no log")


def _command(place: Place, *, frontend: str, defaults: str) -> Command:
    config = _CONFIG.format(
        port=place.port,
        service=place.upstream.port(Side.SERVICE),
        legacy=place.upstream.port(Side.LEGACY),
        frontend=frontend,
        defaults=defaults,
    )
    path = str(place.write("haproxy.cfg", config))
    return Command(
        name="haproxy",
        argv=pinned(place.cores.gateway, program("haproxy"), "-db", "-f", path),
        log=place.access_log,  # it logs to a socket or to its standard output, never to a file
        environment=place.environment,
    )


VARIANTS = (
    Variant(
        name="haproxy jwt_verify",
        work=Work.FULL,
        missing=_missing,
        command=_full,
        unequal="verified each time: it has no cache; one write per log line; any X-Correlation-ID is accepted as it is",
    ),
    Variant(name="haproxy", work=Work.BARE, missing=_missing, command=_bare),
)
