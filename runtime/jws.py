"""A signed token, read strictly: one text has one meaning, and whoever else reads it reads the same. Nothing is verified here.

Stricter than PyJWT, which takes padding appended to a token, repeated claims and any depth (http-rules section 6).
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from runtime.jwks import is_key_id

LARGEST_TOKEN: Final = 8 * 1024
DEEPEST_JSON: Final = 32


class TokenRefused(Exception):
    """`reason` is a stable word; it names no part of the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Jws:
    """The parts of a compact token. `signature` should be over `signed`; `claims` are not to be believed before."""

    algorithm: str
    kid: str | None
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def read_jws(token: bytes) -> Jws:
    """Raises TokenRefused for what is not a compact token of the plainest kind.

    `jku`, `x5u`, `jwk` and `x5c` in the header are ignored: keys come from the issuer alone.
    """
    if len(token) > LARGEST_TOKEN:
        raise TokenRefused("size")
    parts = token.split(b".")
    if len(parts) != 3 or not all(parts):
        raise TokenRefused("form")
    header = _json_object(_decoded(parts[0]))
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or "crit" in header or "b64" in header:
        raise TokenRefused("header")
    if str(header.get("typ", "JWT")).upper() != "JWT":
        raise TokenRefused("header")
    if "kid" in header and not is_key_id(kid):
        raise TokenRefused("header")
    return Jws(
        algorithm=algorithm,
        kid=kid,
        claims=_json_object(_decoded(parts[1])),
        signed=token[: token.rindex(b".")],
        signature=_decoded(parts[2]),
    )


def _decoded(part: bytes) -> bytes:
    """Canonical base64url: no padding, no blanks, no bits left over, none of the other alphabet."""
    try:
        raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error:
        raise TokenRefused("encoding") from None
    # The decoder skips what it does not know, and drops bits that are left over.
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part:
        raise TokenRefused("encoding")
    return raw


def _json_object(raw: bytes) -> Mapping[str, Any]:
    if too_deep(raw):
        raise TokenRefused("json")
    try:
        # Decoded here: `json` would take UTF-16 and UTF-32, too.
        found = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_once,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except ValueError:
        raise TokenRefused("json") from None
    if not isinstance(found, dict):
        raise TokenRefused("json")
    return found


def too_deep(raw: bytes) -> bool:
    """Whether JSON text nests deeper than DEEPEST_JSON; asked before it is parsed."""
    if raw.count(b"{") + raw.count(b"[") <= DEEPEST_JSON:
        return False
    depth, quoted, escaped = 0, False, False
    for byte in raw:
        if quoted:
            quoted = escaped or byte != 0x22
            escaped = not escaped and byte == 0x5C
        elif byte == 0x22:
            quoted = True
        elif byte in b"{[":
            depth += 1
            if depth > DEEPEST_JSON:
                return True
        elif byte in b"}]":
            depth -= 1
    return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number out of range")
    return number
