"""The upstream of every variant: one nginx on the second core, which answers fixed bodies as service and as legacy.

It echoes X-Correlation-ID on the service's port, as our services do, and on neither port it writes a log, but for the
requests of a check, which are known by their limit.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.cost.bodies import ANSWERS, SMALL
from benchmarks.cost.place import Upstream, free_port, program
from benchmarks.cost.processor import Cores, pinned
from runtime.settings import inherited_environment
from sandbox.children import Command, start

CHECK_LIMIT = 7
CHECK_TARGET = f"/v2/lab-orders?limit={CHECK_LIMIT}"
"""Answered as the small one, and recorded."""
READY_SECONDS = 20.0
_LONGEST_PARAMETER = 3_000
"""nginx takes no parameter of 4 KB or more."""

_CONFIG = """
worker_processes 1;
daemon off;
{own_folder}
events {{ worker_connections 4096; }}
http {{
  {temporary}
  default_type application/json;
  server_tokens off;
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  log_format seen escape=json '{{"side":"$side","connection":"$connection","cid":"$http_x_correlation_id"}}';
  map $server_port $side {{ {service} service; {legacy} legacy; }}
  map $arg_limit $recorded {{ {check} 1; {check_legacy} 1; default 0; }}
  {bodies}
  server {{
    listen 127.0.0.1:{service} backlog=4096;
    add_header X-Correlation-ID $http_x_correlation_id;
    location / {{ access_log seen.log seen if=$recorded; {answers} }}
  }}
  server {{
    listen 127.0.0.1:{legacy} backlog=4096;
    location /rest/v1/ {{ access_log seen.log seen if=$recorded; {legacy_answers} }}
    location / {{ access_log seen.log seen if=$recorded; {answers} }}
  }}
}}
"""


@contextmanager
def running(folder: Path, cores: Cores) -> Iterator[Upstream]:
    """Started and answering; stopped at the end."""
    folder.mkdir()
    upstream = Upstream(service=free_port(), legacy=free_port(), record=folder / "seen.log")
    config = folder / "nginx.conf"
    config.write_text(_config(upstream))
    nginx = start(
        Command(
            name="upstream",
            argv=pinned(cores.rest, program("nginx"), "-p", str(folder), "-c", str(config)),
            log=folder / "nginx.log",
            environment=inherited_environment(),
            death_signal=signal.SIGTERM,  # its worker would outlive a master that is killed
        )
    )
    try:
        nginx.wait(lambda: answers(upstream.service), within=READY_SECONDS)
        yield upstream
    finally:
        nginx.stop()


def answers(port: int, path: str = "/v2/lab-orders") -> bool:
    """Whether HTTP is spoken there, whatever it says."""
    try:
        httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=2)
    except httpx.TransportError:
        time.sleep(0.05)
        return False
    return True


def own_folder() -> str:
    """nginx's files in the folder that it is started with.

    Its workers give up root unless told not to, and then cannot write into a temporary folder.
    """
    user = "user root;" if os.geteuid() == 0 else ""
    return f"{user} pid nginx.pid; error_log error.log warn;"


def temporary_folders() -> str:
    """nginx makes all of them when it starts, and by default where only root can."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {kind};" for kind in kinds)


def _config(upstream: Upstream) -> str:
    service = {answer.limit: answer.service for answer in ANSWERS}
    legacy = {answer.limit + 1: answer.legacy for answer in ANSWERS}
    service[CHECK_LIMIT] = SMALL.service
    legacy[CHECK_LIMIT + 1] = SMALL.legacy
    return _CONFIG.format(
        own_folder=own_folder(),
        temporary=temporary_folders(),
        service=upstream.service,
        legacy=upstream.legacy,
        check=CHECK_LIMIT,
        check_legacy=CHECK_LIMIT + 1,
        bodies="\n".join(_pieces(limit, body) for limit, body in (service | legacy).items()),
        answers=" ".join(_return(limit, body) for limit, body in service.items()),
        legacy_answers=" ".join(_return(limit, body) for limit, body in legacy.items()),
    )


def _pieces(limit: int, body: str) -> str:
    """Constants: maps of something that never matches."""
    return "\n".join(
        f"map $server_port $body_{limit}_{number} {{ default '{piece}'; }}"
        for number, piece in enumerate(_cut(body))
    )


def _return(limit: int, body: str) -> str:
    names = "".join(f"${{body_{limit}_{number}}}" for number, _ in enumerate(_cut(body)))
    return f'if ($arg_limit = {limit}) {{ return 200 "{names}"; }}'


def _cut(body: str) -> list[str]:
    return [body[at : at + _LONGEST_PARAMETER] for at in range(0, len(body), _LONGEST_PARAMETER)]
