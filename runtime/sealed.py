"""`Sealer`: values that lie encrypted in tables of ours: outbox payloads, quarantine, undo images, answers (phi-rules section 5).

AES-256-GCM. What is sealed belongs to one entity, key and version: elsewhere it does not open, so two rows cannot swap
theirs. As bytes:

    format (1 byte, 1) | length of the key id (1 byte) | key id | nonce (12 bytes) | ciphertext and tag (16 bytes more)

There is no data key per value (an envelope in the narrow sense): it would save re-encryption when a key is rotated, and
nothing sealed is kept longer than 30 days, so an old key simply stays until it has nothing left. Nonces are random: rotate
a key before it has sealed 2^32 values.

Tampered     it was changed, cut, or belongs to another entity, key or version
UnknownKey   (runtime.keyring) it was sealed with a key that is not here
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.framed import framed
from runtime.keyring import KEY_ID, Keyring

_FORMAT = 1
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Tampered(Exception):
    """It does not open here; nobody can say which of the reasons it is."""

    def __init__(self) -> None:
        super().__init__("a sealed value was changed, cut or moved")


class Sealer:
    """Seals with the newest key, opens with any of the ring."""

    def __init__(self, keys: Keyring) -> None:
        self._newest = keys.newest
        self._keys = keys
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.keys.items()}

    def seal(self, plain: bytes, *, entity: str, key: str, version: str) -> bytes:
        """`key` is the row's, as `routes.key.write_key` writes it; `version` whatever tells this value from the row's others."""
        header = _header(self._newest)
        nonce = os.urandom(_NONCE_BYTES)
        bound = _bound(header, entity, key, version)
        return header + nonce + self._ciphers[self._newest].encrypt(nonce, plain, bound)

    def open(self, sealed: bytes, *, entity: str, key: str, version: str) -> bytes:
        """Raises Tampered, UnknownKey."""
        key_id = sealed_with(sealed)
        self._keys.key(key_id)
        header, rest = _header(key_id), sealed[len(_header(key_id)) :]
        nonce, ciphertext = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        try:
            return self._ciphers[key_id].decrypt(
                nonce, ciphertext, _bound(header, entity, key, version)
            )
        except InvalidTag:
            raise Tampered from None


def sealed_with(sealed: bytes) -> str:
    """Id of the key, to find what a key has left before it is retired. Raises Tampered."""
    length = sealed[1] if len(sealed) > 1 and sealed[0] == _FORMAT else 0
    key_id = sealed[2 : 2 + length].decode("latin-1")
    if not KEY_ID.fullmatch(key_id) or len(sealed) < 2 + length + _NONCE_BYTES + _TAG_BYTES:
        raise Tampered
    return key_id


def _header(key_id: str) -> bytes:
    return bytes((_FORMAT, len(key_id))) + key_id.encode("ascii")


def _bound(header: bytes, entity: str, key: str, version: str) -> bytes:
    """What the ciphertext is bound to without holding it."""
    return framed(entity.encode(), key.encode(), version.encode(), header)
