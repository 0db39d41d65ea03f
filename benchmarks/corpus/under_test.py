"""The gateway under test: a process of its own, whose services are all one upstream of ours."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt

from benchmarks.corpus import limits
from benchmarks.world import everybody_at, gateway
from catalog.service import Service
from catalog.stage import Stage
from runtime.stack import Stack

_SECRET = "s" * 48
_ISSUER = "http://127.0.0.1:9/auth/v1"
_LIFE_SECONDS = 3600 * 6


@dataclass(frozen=True, kw_only=True)
class UnderTest:
    """Where it listens, and its process id."""

    host: str
    port: int
    pid: int
    log: Path

    @property
    def authority(self) -> bytes:
        return f"{self.host}:{self.port}".encode()


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody with a token that the gateway accepts."""

    sub: str
    token: bytes


def user(number: int) -> User:
    sub = str(uuid.UUID(int=number + 1, version=4))
    now = int(time.time())
    claims = {
        "iss": _ISSUER,
        "aud": "authenticated",
        "role": "authenticated",
        "sub": sub,
        "iat": now,
        "exp": now + _LIFE_SECONDS,
        "session_id": str(uuid.UUID(int=number + 1_000_000, version=4)),
        "app_metadata": {"app_role": "patient"},
    }
    return User(sub=sub, token=jwt.encode(claims, _SECRET, algorithm="HS256").encode())


@contextmanager
def under_test(
    folder: Path,
    service_url: str,
    *,
    services: Mapping[Service, str] | None = None,
    settings: Mapping[str, str] | None = None,
    name: str = "gateway",
    stage: Stage = Stage.COMPLETE,
) -> Iterator[UnderTest]:
    """A gateway whose services are `service_url` (`services`: but these), where everybody is at `stage` and nobody is limited by
    rate."""
    urls = {**dict.fromkeys(Service, service_url), **(services or {})}
    nowhere = "http://127.0.0.1:9"
    environment = {
        "PROFILE": "sandbox",
        "LEGACY_REST_URL": nowhere,
        "TOKEN_ISSUER": _ISSUER,
        "TOKEN_HS256_SECRET": _SECRET,
        "SERVICE_URLS": json.dumps(urls),
        "LEGACY_PUBLISHABLE_KEY": "sb_publishable_corpus",
        "INTERNAL_TOKEN_KEY": "k" * 32,
        "CURSOR_KEY": "k" * 32,
        "ACCESS_LOG_FOLDER": str(folder / f"{name}.access"),
        "ACCESS_LOG_KEY": "k" * 32,
        "CLIENT_HEADER_SECONDS": str(limits.HEADER_SECONDS),
        "CLIENT_BODY_SECONDS": str(limits.BODY_SECONDS),
        "CLIENT_IDLE_SECONDS": str(limits.IDLE_SECONDS),
        "READ_DEADLINE_SECONDS": "1",
        "CONNECTIONS_PER_ADDRESS": "10000",
        "USER_REQUESTS_PER_SECOND": "1000000",
        "PARTNER_REQUESTS_PER_SECOND": "1000000",
        "LOG_LEVEL": "warning",
        **(settings or {}),
    }
    stack = Stack(pid=0, started_at="", environment=environment)
    with gateway(stack, folder, name=name, flags=everybody_at(stage)) as started:
        host, _, port = started.url.removeprefix("http://").partition(":")
        yield UnderTest(
            host=host, port=int(port), pid=started.process.pid, log=folder / f"{name}.log"
        )
