"""`Repeats`: how a repeat of a write is recognised without keeping who sent what (data-rules section 4).

Gateway and services keep records by these keyed tags. A record may be older than the newest key, so it is looked for by
all of them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.framed import framed
from runtime.keyring import Keyring
from runtime.tagger import Tagger

_ENTITY = "idempotency"


@dataclass(frozen=True, kw_only=True)
class Repeatable:
    """A request that may come again: who sent it where, its key, and what makes it this one (routes.idempotency)."""

    sub: str
    route: str
    key: str
    fingerprint: bytes

    @property
    def lock(self) -> int:
        """For one of PostgreSQL's 64-bit advisory locks; the same in every process, whatever keys it has."""
        parts = (self.sub.encode(), self.route.encode(), self.key.encode())
        digest = hashlib.sha256(framed(b"idempotency", *parts)).digest()
        return int.from_bytes(digest[:8], signed=True)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Under which a request's record is kept. All three are keyed tags."""

    scope: str
    key: str
    fingerprint: str


class Repeats:
    """Makes the places of requests."""

    def __init__(self, keys: Keyring) -> None:
        self._tagger = Tagger(keys)
        self._key_ids = tuple(keys.keys)

    def places(self, request: Repeatable) -> Sequence[Place]:
        """By every key, the newest first: under that one a new record is kept."""
        return tuple(self._place(request, key_id) for key_id in self._key_ids)

    def _place(self, request: Repeatable, key_id: str) -> Place:
        scope = framed(request.sub.encode(), request.route.encode()).hex()
        return Place(
            scope=self._tag("scope", scope, key_id),
            key=self._tag("key", request.key, key_id),
            fingerprint=self._tag("fingerprint", request.fingerprint.hex(), key_id),
        )

    def _tag(self, field: str, value: str, key_id: str) -> str:
        return str(self._tagger.tag(_ENTITY, field, value, key_id=key_id))
