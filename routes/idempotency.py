"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): reading it, and what follows from it. Pure.

The key of a new row is made of the caller and the idempotency key, so it is known before anything is sent, and a
repeat meets its first attempt even where every record of that was lost (data-rules section 4).
"""

import re
from collections.abc import Sequence
from uuid import NAMESPACE_URL, UUID, uuid5

from routes.refused import IdempotencyKeyInvalid

LONGEST = 255

# A Structured Field string without parameters (RFC 8941 section 3.3.3).
_STRING = re.compile(rb'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_ESCAPED = re.compile(r"\\(.)")


def read_idempotency_key(values: Sequence[bytes]) -> str | None:
    """The key in the header's values; None if there is no header. Raises IdempotencyKeyInvalid."""
    if not values:
        return None
    found = _STRING.fullmatch(values[0].strip(b" \t"))
    if len(values) > 1 or found is None:
        raise IdempotencyKeyInvalid
    key = _ESCAPED.sub(r"\1", found[1].decode("ascii"))
    if not 1 <= len(key) <= LONGEST:
        raise IdempotencyKeyInvalid
    return key


def write_idempotency_key(key: str) -> bytes:
    """The header's value for a key."""
    return b'"%b"' % key.replace("\\", "\\\\").replace('"', '\\"').encode("ascii")


def row_id(entity: str, sub: str, key: str) -> UUID:
    """The key of the row that this user's request with this idempotency key makes."""
    return uuid5(uuid5(NAMESPACE_URL, f"urn:banyan:{entity}"), f"{len(sub)}:{sub}{len(key)}:{key}")


def fingerprinted(method: str, path: bytes, query: bytes, body: bytes) -> bytes:
    """What two requests must share to be the same one; `body` in its canonical form. Hash it with a key before keeping it."""
    parts = (method.encode(), path, query, body)
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)
