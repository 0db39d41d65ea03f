"""A document that PostgreSQL keeps in versions and Redis carries to every process: how it lies in Redis.

The newest version under one key, "<store> <version>" under another, and a message with the whole document at each change.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from runtime.redis import Redis

RECONCILE_SECONDS = 0.5
RECONNECT_SECONDS = 0.1

# Newer versions only, unless another store has taken over; set and told in one step, so that nobody sees half.
_PUBLISH = """
local held = redis.call('GET', KEYS[2])
if held and redis.call('EXISTS', KEYS[1]) == 1 then
  local store, version = string.match(held, '^(%S+) (%d+)$')
  if store == ARGV[1] and tonumber(version) >= tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[2])
redis.call('PUBLISH', ARGV[4], ARGV[3])
return 1
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one kind of document lies."""

    key: str
    version_key: str
    channel: str


class Publisher:
    """Puts versions there. Raises what redis-py raises (runtime.redis.LOST)."""

    def __init__(self, redis: Redis, place: Place) -> None:
        self._redis = redis
        self._place = place
        self._script = redis.register_script(_PUBLISH)

    async def publish(self, wire: bytes, *, store: str, version: int) -> bool:
        """Whether Redis took it: it keeps what is as new, or newer, from the same store."""
        place = self._place
        done = await self._script(
            keys=[place.key, place.version_key], args=[store, version, wire, place.channel]
        )
        return bool(done)

    async def holds(self, store: str, version: int) -> bool:
        """Whether exactly this version lies there."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.get(self._place.version_key)
        pipeline.exists(self._place.key)
        held, exists = await pipeline.execute()
        return bool(exists) and read_mark(held) == (store, version)

    async def ping(self) -> None:
        await self._redis.ping()


def read_mark(held: bytes | None) -> tuple[str, int] | None:
    """Store and version from the small key ("<store> <version>"), None if it is not there or not ours."""
    store, _, version = (held or b"").decode("utf-8", "replace").partition(" ")
    return (store, int(version)) if version.isascii() and version.isdigit() else None


class Republishes(Protocol):
    """A store whose newest version belongs in Redis. `name` begins the names of its log events."""

    @property
    def name(self) -> str: ...

    @property
    def unavailable(self) -> type[Exception]: ...

    async def republish(self) -> bool:
        """Give Redis the newest version if it has another one or none; whether that was so. Raises `unavailable`."""
        ...


async def keep_published(store: Republishes) -> None:
    """For ever: Redis has the newest version, also after it was restarted or emptied. To be spawned."""
    log, told = structlog.get_logger(store.name), f"{store.name}.{{}}".format
    reachable = True
    while True:
        try:
            if await store.republish():
                log.info(told("republished"))
        except store.unavailable as error:
            if reachable:
                log.warning(told("store_lost"), exc_info=error)
            reachable = False
            await asyncio.sleep(RECONNECT_SECONDS)
            continue
        if not reachable:
            log.info(told("store_back"))
        reachable = True
        await asyncio.sleep(RECONCILE_SECONDS)
