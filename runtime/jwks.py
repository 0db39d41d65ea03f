"""The public keys of a token issuer, kept in memory and refreshed without ever blocking the requests that can do without.

One fetch at a time, at most one per `cooldown`, however many unknown key ids arrive; when a fetch fails or answers
rubbish or an empty set, the last good set stays in use for up to a day (http-rules section 6).
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

log = structlog.get_logger("jwks")

Fetch = Callable[[], Awaitable[bytes]]

LONGEST_KEY_ID = 128
_LARGEST_SET = 64 * 1024
_ALGORITHMS: Mapping[tuple[str, str], str] = {
    ("EC", "P-256"): "ES256",
    ("RSA", ""): "RS256",
    ("OKP", "Ed25519"): "EdDSA",
}
"""One algorithm per kind of key; a token cannot choose another."""


class KeysUnavailable(Exception):
    """No key set was ever fetched, or the last one is too old."""


class KeySet:
    """Keys by id. `fetch` gives the JWKS document or raises; times in seconds of the monotonic clock."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        fresh_for: float = 300.0,
        stale_for: float = 86_400.0,
        cooldown: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._fresh_for = fresh_for
        self._stale_for = stale_for
        self._cooldown = cooldown
        self._clock = clock
        self._keys: dict[str, tuple[PyJWK, str]] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._flight = asyncio.Lock()

    async def key(self, kid: str) -> tuple[PyJWK, str] | None:
        """The key and its only algorithm, or None if the issuer has no such key. Raises KeysUnavailable."""
        age = self._age()
        known = self._keys.get(kid)
        if known is None or age is None or age > self._fresh_for:
            await self._refresh()
            known = self._keys.get(kid)
        age = self._age()
        if age is None or age > self._stale_for:
            raise KeysUnavailable
        return known

    def _age(self) -> float | None:
        return None if self._fetched_at is None else self._clock() - self._fetched_at

    async def _refresh(self) -> None:
        asked_at = self._clock()
        async with self._flight:
            now = self._clock()
            served_meanwhile = self._tried_at is not None and self._tried_at >= asked_at
            cooling = self._tried_at is not None and now - self._tried_at < self._cooldown
            if served_meanwhile or cooling:
                return
            self._tried_at = now
            try:
                keys = parse_key_set(await self._fetch())
            except (OSError, ValueError) as error:
                log.warning("jwks.refresh_failed", exc_info=error)
                return
            self._keys, self._fetched_at = keys, now


def parse_key_set(document: bytes) -> dict[str, tuple[PyJWK, str]]:
    """The usable signing keys of a JWKS document by id. Raises ValueError if there are none, or it is none."""
    if len(document) > _LARGEST_SET:
        raise ValueError("a key set of that size is refused")
    parsed = json.loads(document)
    entries = parsed.get("keys") if isinstance(parsed, dict) else None
    keys = {}
    for entry in entries if isinstance(entries, list) else ():
        usable = _usable(entry)
        if usable is not None:
            keys[entry["kid"]] = usable
    if not keys:
        raise ValueError("there is no usable key in the set")
    return keys


def _usable(entry: Any) -> tuple[PyJWK, str] | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    kid, algorithm = entry.get("kid"), _ALGORITHMS.get((entry.get("kty", ""), entry.get("crv", "")))
    if not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_KEY_ID or algorithm is None:
        return None
    if entry.get("alg", algorithm) != algorithm:
        return None
    try:
        return PyJWK(entry, algorithm=algorithm), algorithm
    except PyJWTError:
        return None
