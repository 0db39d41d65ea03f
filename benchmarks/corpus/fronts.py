"""nginx and HAProxy as Debian ships them, as plain proxies to one port."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_READY_SECONDS = 10.0
_WHERE = os.pathsep.join((os.defpath, "/usr/sbin", "/usr/local/sbin", "/usr/bin"))


class NotHere(Exception):
    """A program is missing; the message says what to install."""


@dataclass(frozen=True, kw_only=True)
class Front:
    """A running proxy. `log`: a line per request, `upstream METHOD target`, where the upstream is none for what it refused."""

    name: str
    port: int
    log: Path

    def forwarded(self, since: int) -> list[tuple[str, bytes]]:
        """What it says that it sent on, from that byte of its log."""
        found = []
        for line in self.log.read_bytes()[since:].splitlines():
            upstream, _, rest = line.partition(b" ")
            method, _, target = rest.partition(b" ")
            if upstream not in (b"-", b"<NOSRV>", b""):
                found.append((method.decode("latin-1"), _UNTOLD.sub(_byte, target)))
        return found


_UNTOLD = re.compile(rb"#([0-9A-F]{2})")
"""How HAProxy writes bytes into its log that it does not like there; no target holds a number sign."""


def _byte(found: "re.Match[bytes]") -> bytes:
    return bytes([int(found[1], 16)])


def find(name: str) -> str:
    """The program's path. Raises NotHere."""
    found = shutil.which(name) or shutil.which(name, path=_WHERE)
    if found is None:
        raise NotHere(f"no {name}: apt-get install {name}")
    return found


def install() -> None:
    """What is missing, from Debian, where we may."""
    missing = [name for name in FRONTS if not _here(name)]
    apt = shutil.which("apt-get")
    if missing and apt is not None and os.geteuid() == 0:
        for command in (
            [apt, "-qq", "update"],
            [apt, "-qq", "install", "-y", "--no-install-recommends", *missing],
        ):
            subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            )


def _here(name: str) -> bool:
    try:
        find(name)
    except NotHere:
        return False
    return True


@contextmanager
def front(name: str, folder: Path, to_port: int) -> Iterator[Front]:
    """A proxy of that name to a port of this machine. Raises NotHere."""
    program = find(name)
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    log = folder / "requests.log"
    command = FRONTS[name](program, folder, port, to_port, log)
    # HAProxy writes its log to standard output, nginx to the file itself, and nothing to standard output.
    with log.open("ab") as lines, (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=lines, stderr=output)
    try:
        _wait(port, process, folder / "output.log")
        yield Front(name=name, port=port, log=log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=10)


def _wait(port: int, process: "subprocess.Popen[bytes]", output: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"it did not start: {output.read_text(errors='replace')[-500:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _nginx(program: str, folder: Path, port: int, to_port: int, log: Path) -> list[str]:
    config = folder / "nginx.conf"
    config.write_text(
        f"""\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  log_format corpus escape=none '$upstream_addr $request_method $request_uri';
  access_log {log} corpus;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_header_timeout 1s;
  client_body_timeout 1s;
  keepalive_timeout 2s;
  large_client_header_buffers 8 128k;
  client_max_body_size 8m;
  upstream behind {{ server 127.0.0.1:{to_port}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://behind;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_next_upstream off;
    }}
  }}
}}
"""
    )
    return [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]


def _haproxy(program: str, folder: Path, port: int, to_port: int, log: Path) -> list[str]:
    config = folder / "haproxy.cfg"
    config.write_text(
        f"""\
global
  log stdout format raw daemon
  tune.bufsize 65536
defaults
  mode http
  log global
  log-format "%s %HM %HU"
  retries 0
  http-reuse always
  timeout connect 2s
  timeout client 2s
  timeout server 5s
  timeout http-request 1s
  timeout http-keep-alive 2s
frontend front
  bind 127.0.0.1:{port}
  default_backend behind
backend behind
  server gateway 127.0.0.1:{to_port}
"""
    )
    return [program, "-db", "-f", str(config)]


FRONTS: Mapping[str, Callable[[str, Path, int, int, Path], list[str]]] = {
    "nginx": _nginx,
    "haproxy": _haproxy,
}
