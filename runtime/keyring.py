"""`Keyring`: secret keys of one purpose by id, newest first. The first one makes what is new; each reads what it has made.

As a setting: `id:base64,id:base64`, each key exactly 32 bytes (`openssl rand -base64 32`). To rotate, put a new one in
front; to retire an old one, take it off when nothing is left that it has made.

KeysInvalid   the setting is not of that form; the message holds nothing of it
UnknownKey    something was made with a key that is not here any more; `key_id` names it
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

KEY_BYTES = 32
KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", re.ASCII)


class KeysInvalid(ValueError):
    """One sentence that names the key by its place."""


class UnknownKey(Exception):
    """The key is lost, or was retired too early: bring it back under this id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no key {key_id}")
        self.key_id = key_id


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """`newest` is the id of the key that makes what is new. The keys themselves are in no repr."""

    newest: str
    keys: Mapping[str, bytes] = field(repr=False)

    @property
    def newest_key(self) -> bytes:
        return self.keys[self.newest]

    def key(self, key_id: str) -> bytes:
        """Raises UnknownKey."""
        try:
            return self.keys[key_id]
        except KeyError:
            raise UnknownKey(key_id) from None


def read_keyring(text: str) -> Keyring:
    """The keys of a setting. Raises KeysInvalid."""
    found: dict[str, bytes] = {}
    for place, entry in enumerate(text.split(","), start=1):
        key_id, _, encoded = entry.strip().partition(":")
        if not KEY_ID.fullmatch(key_id):
            raise KeysInvalid(f"key {place} has no id: the form is id:base64,id:base64")
        if key_id in found:
            raise KeysInvalid(f"key {place} has the id of another one")
        key = _decoded(encoded)
        if key is None:
            raise KeysInvalid(f"key {place} is not {KEY_BYTES} bytes in base64")
        if key in found.values():
            raise KeysInvalid(f"key {place} is another one again, so nothing would be rotated")
        found[key_id] = key
    return Keyring(newest=next(iter(found)), keys=MappingProxyType(found))


def _decoded(encoded: str) -> bytes | None:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):  # the latter: not ASCII
        return None
    return key if len(key) == KEY_BYTES else None
