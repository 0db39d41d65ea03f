"""The public keys of a token issuer, kept in memory and refreshed without ever blocking the requests that can do without.

One fetch at a time, at most one per `cooldown`, however many unknown key ids arrive; when a fetch fails or answers
rubbish or an empty set, the last good set stays in use for up to a day (http-rules section 6).
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from runtime.tasks import spawn

log = structlog.get_logger("jwks")

Fetch = Callable[[], Awaitable[bytes]]

LARGEST_SET = 64 * 1024
_SMALLEST_RSA_BITS = 2048
_KEY_ID = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._:=+@~-]{0,127}", re.ASCII)
_ALGORITHMS: Mapping[tuple[str, str], str] = {
    ("EC", "P-256"): "ES256",
    ("RSA", ""): "RS256",
    ("OKP", "Ed25519"): "EdDSA",
}
"""One algorithm per kind of key; a token cannot choose another."""


class KeysUnavailable(Exception):
    """No key set was ever fetched, or the last one is too old."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A public key and the only algorithm that it verifies. Equal if it is the same key, whichever fetch brought it."""

    kid: str
    algorithm: str
    material: tuple[str, ...]
    jwk: PyJWK = field(compare=False, repr=False)

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """Whether `signature` is this key's over `signed`."""
        found: bool = self.jwk.Algorithm.verify(signed, self.jwk.key, signature)
        return found


class KeySet:
    """Keys by id. `fetch` gives the JWKS document or raises OSError; times in seconds of the monotonic clock."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        fresh_for: float = 300.0,
        stale_for: float = 86_400.0,
        cooldown: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.generation = 0
        """Grows when a key came, went or changed; a refresh that brings the same keys leaves it."""
        self._fetch = fetch
        self._fresh_for = fresh_for
        self._stale_for = stale_for
        self._cooldown = cooldown
        self._clock = clock
        self._keys: Mapping[str, Key] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._flight = asyncio.Lock()
        self._behind: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> Key | None:
        """The key, or None if the issuer has no such key. Waits for a fetch only where no usable set knows the id.

        Raises KeysUnavailable.
        """
        found = self.known(kid)
        if found is None:
            await self._refresh()
            self._check_usable()
            return self._keys.get(kid)
        self.freshen()
        return found

    async def need(self) -> None:
        """Returns when a usable set is there; it is fetched if none is. Raises KeysUnavailable."""
        if not self.usable:
            await self._refresh()
        self._check_usable()

    def known(self, kid: str) -> Key | None:
        """The key, if a usable set that is here already has it."""
        return self._keys.get(kid) if self.usable else None

    def freshen(self) -> None:
        """Fetch in the background if the set is getting old. Nobody waits for it."""
        age = self._age()
        due = age is None or age > self._fresh_for
        if due and not self._cooling() and (self._behind is None or self._behind.done()):
            self._behind = spawn(self._refresh(), name="jwks.refresh")

    @property
    def usable(self) -> bool:
        """Whether there is a set that is not too old."""
        age = self._age()
        return age is not None and age <= self._stale_for

    def _check_usable(self) -> None:
        if not self.usable:
            raise KeysUnavailable

    def _age(self) -> float | None:
        return None if self._fetched_at is None else self._clock() - self._fetched_at

    def _cooling(self) -> bool:
        return self._tried_at is not None and self._clock() - self._tried_at < self._cooldown

    async def _refresh(self) -> None:
        asked_at = self._clock()
        async with self._flight:
            served_meanwhile = self._tried_at is not None and self._tried_at >= asked_at
            if served_meanwhile or self._cooling():
                return
            self._tried_at = self._clock()
            try:
                keys = parse_key_set(await self._fetch())
            except (OSError, ValueError) as error:
                log.warning("jwks.refresh_failed", exc_info=error)
                return
            self._fetched_at = self._tried_at
            if keys != self._keys:
                if self._keys:
                    log.info("jwks.changed", version=self.generation + 1, count=len(keys))
                self._keys = keys
                self.generation += 1


def parse_key_set(document: bytes) -> dict[str, Key]:
    """The usable signing keys of a JWKS document by id. Raises ValueError if there are none, or it is none."""
    if len(document) > LARGEST_SET:
        raise ValueError("a key set of that size is refused")
    parsed = orjson.loads(document)
    entries = parsed.get("keys") if isinstance(parsed, dict) else None
    objects = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    keys = {key.kid: key for key in map(_usable, objects) if key is not None}
    if not keys:
        raise ValueError("there is no usable key in the set")
    return keys


def is_key_id(kid: object) -> bool:
    """Whether this can be a key's id: short text that is no path. It is a dict key, and is never used for anything else."""
    return isinstance(kid, str) and _KEY_ID.fullmatch(kid) is not None and ".." not in kid


def _usable(entry: Mapping[str, Any]) -> Key | None:
    """The key of an entry; None for what is not a public signing key of a kind that we take."""
    kid, kind = entry.get("kid"), (entry.get("kty", ""), entry.get("crv", ""))
    material = [entry.get(name, "") for name in ("kty", "crv", "x", "y", "n", "e")]
    if not is_key_id(kid) or not all(isinstance(part, str) for part in material):
        return None
    algorithm = _ALGORITHMS.get(kind)
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    if entry.get("use", "sig") != "sig" or "d" in entry or "k" in entry:
        return None
    try:
        jwk = PyJWK(dict(entry), algorithm=algorithm)
    except (PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if algorithm == "RS256" and jwk.key.key_size < _SMALLEST_RSA_BITS:
        return None
    return Key(kid=str(kid), algorithm=algorithm, material=tuple(material), jwk=jwk)
