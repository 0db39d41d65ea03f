"""`Tagger`: keyed tags that stand for values in evidence, so that equal ones are seen as equal and none is seen (phi-rules 4).

Entity and field are the catalog's names and the value its normal form, else the two sides of one column never agree. A
column with `low_entropy` gets no tag at all: whoever has the key would try its few values. That is for the caller to see to.

UnknownKey   (runtime.keyring) the tag that is to be compared with was made with a key that is not here
"""

import hmac
from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override

from runtime.framed import framed
from runtime.keyring import Keyring

TAG_BYTES = 16


class Likeness(StrEnum):
    """What two tags say of their values."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """They were made with different keys."""


@dataclass(frozen=True, kw_only=True, order=True)
class Tag:
    """128 bits in hex. `==` compares tags; for the values behind them ask `likeness`."""

    key_id: str
    hex: str

    @override
    def __str__(self) -> str:
        return f"{self.key_id}:{self.hex}"


def likeness(left: Tag, right: Tag) -> Likeness:
    """Whether two tags of one field stand for the same value."""
    if left.key_id != right.key_id:
        return Likeness.UNKNOWN
    return Likeness.EQUAL if left.hex == right.hex else Likeness.DIFFERENT


class Tagger:
    """Tags with the newest key, unless told to make one that can be compared with an older tag."""

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys

    def tag(self, entity: str, field: str, value: str, *, key_id: str | None = None) -> Tag:
        """`key_id`: of the tag that this one is to be compared with. Raises UnknownKey."""
        used = key_id or self._keys.newest
        parts = framed(entity.encode(), field.encode(), value.encode())
        digest = hmac.digest(self._keys.key(used), parts, "sha256")
        return Tag(key_id=used, hex=digest[:TAG_BYTES].hex())
