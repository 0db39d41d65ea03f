"""Connections to Redis (or Valkey).

Never `single_connection_client`: a cancelled command would leave its reply for the next caller
(CVE-2023-28858). Commands time out; who needs an answer decides what silence means.
"""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

__all__ = ["LOST", "Redis", "RedisError", "connect"]

LOST = (RedisError, OSError, RuntimeError)
"""What a lost connection looks like. RuntimeError is uvloop's: a transport that closed while redis-py was about to use it."""


def connect(url: str, *, timeout: float = 1.0) -> Redis:
    """A pooled client; it connects on first use. Every command ends within about `timeout` seconds, without retry."""
    return Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
    )
