"""`Content-Digest` and `Repr-Digest` (RFC 9530): the SHA-256 of a body. Pure. Other algorithms are not looked at."""

import base64
import binascii
import re
from collections.abc import Sequence

from routes.problem import FieldError
from routes.refused import InvalidFields

# A dictionary's member (RFC 8941) whose value is a byte sequence.
_SHA_256 = re.compile(r"(?:^|,)[ \t]*sha-256=([^,]*)")
_BYTES = re.compile(r":([A-Za-z0-9+/=]*):[ \t]*")


def read_sha256(field: str, values: Sequence[bytes]) -> bytes | None:
    """The digest in a header's values; None if none of them has one. Raises InvalidFields that names `field`."""
    found = _SHA_256.findall(b",".join(values).decode("latin-1"))
    if not found:
        return None
    # Of a member that is there twice the last one counts (RFC 8941 section 3.2).
    value = _BYTES.fullmatch(found[-1])
    try:
        digest = base64.b64decode(value[1], validate=True) if value else b""
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise InvalidFields([FieldError(field=field, code="expected_sha_256")])
    return digest


def write_sha256(digest: bytes) -> str:
    """The header's value."""
    return f"sha-256=:{base64.b64encode(digest).decode()}:"
