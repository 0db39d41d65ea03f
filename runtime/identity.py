"""Who calls: verification of a user's own token, the same in the gateway and in every service.

TokenRefused      the token is not one that we accept; the reason is for logs, never for the caller  -> 401
KeysUnavailable   (runtime.jwks) no token can be judged                                              -> 503

Rights come from the verified claims `sub`, `role` and `app_metadata` alone; `user_metadata` belongs to the user.
"""

import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from runtime.jwks import LONGEST_KEY_ID, KeySet

LARGEST_TOKEN = 8 * 1024
LEEWAY_SECONDS = 30
LONGEST_LIFE_SECONDS = 24 * 3600
STAFF_ROLES = frozenset({"clinician", "compliance", "admin"})

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class TokenRefused(Exception):
    """`reason` is a stable word; it names no part of the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A verified user."""

    sub: str
    app_role: str = ""
    partner_id: str = ""
    operator_roles: frozenset[str] = field(default_factory=frozenset)
    cohorts: frozenset[str] = field(default_factory=frozenset)
    session_id: str = ""
    expires_at: int = 0

    @property
    def staff(self) -> bool:
        """As legacy's private.is_staff()."""
        return self.app_role in STAFF_ROLES


class Verifier:
    """Verifies tokens of one issuer. Verified tokens are remembered (bounded), their expiry is checked at every use."""

    def __init__(
        self,
        *,
        issuer: str,
        keys: KeySet,
        hs256_secret: str | None = None,
        clock: Callable[[], float] = time.time,
        remembered: int = 10_000,
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._hs256_secret = hs256_secret
        self._clock = clock
        self._remembered = remembered
        self._known: OrderedDict[str, Identity] = OrderedDict()

    async def verify(self, token: str) -> Identity:
        """The identity of an access token. Raises TokenRefused, or KeysUnavailable when no token can be judged."""
        known = self._known.get(token)
        if known is None:
            known = await self._verify(token)
            self._known[token] = known
            if len(self._known) > self._remembered:
                self._known.popitem(last=False)
        if known.expires_at + LEEWAY_SECONDS <= self._clock():
            self._known.pop(token, None)
            raise TokenRefused("expired")
        return known

    async def _verify(self, token: str) -> Identity:
        if len(token) > LARGEST_TOKEN or not token.isascii():
            raise TokenRefused("size")
        key, algorithm = await self._key(_header(token))
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience="authenticated",
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "aud", "iss", "role"], "verify_exp": False},
            )
        except jwt.PyJWTError:
            raise TokenRefused("invalid") from None
        return _identity(claims)

    async def _key(self, header: Mapping[str, Any]) -> tuple[Any, str]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if "crit" in header or "b64" in header:
            raise TokenRefused("header")
        if algorithm == "HS256" and self._hs256_secret is not None:
            return self._hs256_secret, "HS256"
        if not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_KEY_ID:
            raise TokenRefused("header")
        found = await self._keys.key(kid)
        if found is None or found[1] != algorithm:
            raise TokenRefused("key")
        return found


def _header(token: str) -> Mapping[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise TokenRefused("header") from None


def _identity(claims: Mapping[str, Any]) -> Identity:
    expires_at, issued_at = claims["exp"], claims.get("iat")
    if type(expires_at) is not int or (issued_at is not None and type(issued_at) is not int):
        raise TokenRefused("times")
    if issued_at is not None and expires_at - issued_at > LONGEST_LIFE_SECONDS:
        raise TokenRefused("life")
    if claims["role"] != "authenticated" or not _UUID.fullmatch(claims["sub"]):
        raise TokenRefused("role")
    app = claims.get("app_metadata")
    app = app if isinstance(app, dict) else {}
    return Identity(
        sub=claims["sub"],
        app_role=_text(app.get("app_role")),
        partner_id=_text(app.get("partner_id")),
        operator_roles=_words(app.get("banyan_roles")),
        cohorts=_words(app.get("banyan_cohorts")),
        session_id=_text(claims.get("session_id")),
        expires_at=expires_at,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _words(value: Any) -> frozenset[str]:
    return (
        frozenset(v for v in value if isinstance(v, str))
        if isinstance(value, list)
        else frozenset()
    )


def row_claims(identity: Identity) -> str:
    """What row-level security of a service may know of the caller, as JSON for one PostgreSQL setting."""
    return json.dumps(
        {"sub": identity.sub, "app_role": identity.app_role, "partner_id": identity.partner_id}
    )
