"""What a caller presents in `Authorization` and `apikey`: a user's token, no user, or a key that no client may have. Pure.

Supabase's clients send the project's publishable key beside, or in place of, a user's token: that is "no user", not a
broken token. A key that opens everything (`sb_secret_…`, a `service_role` token) is refused wherever it stands
(http-rules section 6); a `service_role` token in place of a user's is told by `runtime.identity`, with the same reason.
"""

import base64
import binascii
from functools import lru_cache
from typing import Final

import orjson

from runtime.jws import LARGEST_TOKEN, TokenRefused

SERVICE_KEY: Final = "service_key"
"""The reason that is an alert: somebody's client holds the key to everything. The key itself is never logged."""
_SECRET: Final = b"sb_secret_"


def user_token(authorization: bytes | None, apikey: bytes | None) -> bytes | None:
    """The token that says who the user is, unverified; None if no user is signed in. Raises TokenRefused.

    `authorization` and `apikey`: the headers' only values, None where they are not sent.
    """
    # The usual request passes here with three looks: this is on the hot path.
    if apikey is not None and not apikey.startswith(b"sb_publishable_") and _opens_all(apikey):
        raise TokenRefused(SERVICE_KEY)
    if authorization is None:
        return None
    token = authorization[7:]
    if not authorization.startswith(b"Bearer ") and authorization[:7].lower() != b"bearer ":
        raise TokenRefused(SERVICE_KEY if _SECRET in authorization else "scheme")
    if token == apikey or token.startswith(b"sb_publishable_"):
        return None
    if not token.startswith(b"eyJ"):
        _check(token)
    return token


def _check(token: bytes) -> None:
    """What does not begin as tokens do (`{"`). Blanks in one that does are found by whoever reads it."""
    if _SECRET in token:
        raise TokenRefused(SERVICE_KEY)
    if not token or token.startswith(b"sb_") or b" " in token or b"\t" in token:
        raise TokenRefused("form")


def _opens_all(apikey: bytes) -> bool:
    if _SECRET in apikey:
        return True
    return len(apikey) <= LARGEST_TOKEN and _role(apikey) == "service_role"


@lru_cache(maxsize=1_000)
def _role(token: bytes) -> object:
    """The `role` that a token claims, leniently read: a service key is one however it is written.

    Remembered: an old project's clients send the same token in `apikey` with every request.
    """
    parts = token.split(b".")
    if len(parts) != 3:
        return None
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
    except (binascii.Error, orjson.JSONDecodeError):
        return None
    return claims.get("role") if isinstance(claims, dict) else None
