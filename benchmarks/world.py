"""A sandbox of the benchmark's own, and further gateway processes beside it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import redis

from catalog.service import Service
from catalog.stage import Stage
from runtime.flagset import EntityState, FlagSet, first_flag_set, write_flag_set
from runtime.flagsnapshot import write_snapshot
from runtime.flagstore import PLACE
from runtime.published import read_mark
from runtime.settings import inherited_environment
from runtime.stack import Stack

ROOT = Path(__file__).resolve().parents[1]
_READY_SECONDS = 30.0
_NEWEST = 1_000_000_000
"""A version of the flags that no sandbox comes to."""


class WorldFailed(Exception):
    """The sandbox or a process beside it did not come up; the message says where its log is."""


@contextmanager
def sandbox(folder: Path, *, scale: int, durable: bool = False) -> Iterator[Stack]:
    """Both worlds under `folder`, from `banyan up` to `banyan down`."""
    banyan = [sys.executable, "-m", "cli.main"]
    run = str(folder / "run")
    up = [*banyan, "up", "--detach", "--scale", str(scale), "--run", run]
    up += ["--durable"] if durable else []
    started = subprocess.run(up, cwd=ROOT, capture_output=True, text=True, check=False)
    if started.returncode != 0:
        raise WorldFailed(started.stdout + started.stderr)
    try:
        yield Stack.read(folder / "run" / "stack.json")
    finally:
        subprocess.run([*banyan, "down", "--run", run], cwd=ROOT, capture_output=True, check=True)


def everybody_at(stage: Stage, *, backfilled: bool = False) -> FlagSet:
    """A flag set that gives everybody this stage of every entity."""
    first = first_flag_set(Stage.COMPLETE)
    state = EntityState(floor=stage, ceiling=stage, backfilled=backfilled)
    return replace(first, states=dict.fromkeys(first.states, state))


class ServedProcess:
    """One process of the product, started beside the sandbox's own; it may be killed and started again, on its port."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """It is called as `python -m <arguments> --port N`."""
        self._arguments = arguments
        self._environment = environment
        self._log = log
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The one that was started last."""
        if self._process is None:
            raise WorldFailed(f"{self._name} was not started")
        return self._process

    def start(self, *, failpoint: str = "") -> None:
        """Returns at once. `failpoint`: where it dies (runtime/failpoint.py)."""
        armed = {"FAILPOINT": failpoint} if failpoint else {}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._arguments, "--port", str(self._port)],
                cwd=ROOT,
                env={**self._environment, **armed},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        """Until it is ready. Raises WorldFailed."""
        deadline = time.monotonic() + _READY_SECONDS
        with httpx.Client(trust_env=False) as client:
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return
                except httpx.TransportError:
                    time.sleep(0.05)
        raise WorldFailed(f"{self._name} did not become ready; see {self._log}")

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
            self.process.wait(timeout=20)

    @property
    def _name(self) -> str:
        return " ".join(self._arguments)


class GatewayProcess(ServedProcess):
    """Of the data plane."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        super().__init__(("gateway",), environment, log)


class ServiceProcess(ServedProcess):
    """Of one service, over the sandbox's database."""

    def __init__(self, service: Service, environment: Mapping[str, str], log: Path) -> None:
        super().__init__(("services", service.value), environment, log)


@contextmanager
def service(stack: Stack, folder: Path, which: Service) -> Iterator[ServiceProcess]:
    """A service in the sandbox's world, beside the sandbox's own."""
    environment = {**inherited_environment(), **stack.environment}
    found = ServiceProcess(which, environment, folder / f"{which}.log")
    found.start()
    try:
        found.wait()
        yield found
    finally:
        found.stop()


@contextmanager
def gateway(
    stack: Stack,
    folder: Path,
    *,
    name: str,
    flags: FlagSet | None = None,
    redis_number: int | None = None,
) -> Iterator[GatewayProcess]:
    """A gateway in the sandbox's world, with its flags. With `flags` it has these for good and hears of no others; it takes writes
    then only with a Redis database for its event log, by number: one of its own, or the sandbox's, whose movers follow it then.
    """
    environment = {**inherited_environment(), **stack.environment}
    environment["FLAGS_SNAPSHOT_FILE"] = str(folder / f"{name}.snapshot.json")
    environment["KILL_SWITCH_FILE"] = str(folder / f"{name}.panic")
    if flags is not None:
        environment.pop("REDIS_URL", None)
        if redis_number is not None:
            environment["REDIS_URL"] = f"{stack.redis.rpartition('/')[0]}/{redis_number}"
        environment["FLAGS_FILE"] = str(folder / f"{name}.flags.json")
        document = write_flag_set(flags)
        Path(environment["FLAGS_FILE"]).write_text(json.dumps(document))
        if redis_number is not None and environment["REDIS_URL"] == stack.redis:
            # There lie the sandbox's flags as well: they must be older than these.
            wire = write_snapshot(document, version=_NEWEST, store=_flag_store(stack))
            Path(environment["FLAGS_SNAPSHOT_FILE"]).write_bytes(wire)
    found = GatewayProcess(environment, folder / f"{name}.log")
    found.start()
    try:
        found.wait()
        yield found
    finally:
        found.stop()


def _flag_store(stack: Stack) -> str:
    """Who counts the versions of the sandbox's flags."""
    with redis.Redis.from_url(stack.redis) as client:
        mark = read_mark(client.get(PLACE.version_key))
    if mark is None:
        raise WorldFailed("the sandbox has published no flags")
    return mark[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
