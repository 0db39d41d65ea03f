"""Who calls: verification of a user's own token, the same in the gateway, in every service and in the control API.

TokenRefused      the token is not one that we accept; the reason is for logs, never for the caller  -> 401
TooManyTokens     more bad signatures a second than we are ready to check; ask again                 -> 503
KeysUnavailable   (runtime.jwks) no token can be judged                                              -> 503

Rights come from the verified claims `sub`, `role` and `app_metadata` alone; `user_metadata` belongs to the user.
"""

import hmac
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from runtime.jwks import Key, KeySet
from runtime.jws import LARGEST_TOKEN, Jws, TokenRefused, read_jws
from runtime.revocations import Revocations

__all__ = [
    "Identity",
    "NothingRevoked",
    "Revoked",
    "TokenRefused",
    "TooManyTokens",
    "Verifier",
    "row_claims",
]

T = TypeVar("T")

LEEWAY_SECONDS: Final = 30
LONGEST_LIFE_SECONDS: Final = 24 * 3600
STAFF_ROLES: Final = frozenset({"clinician", "compliance", "admin"})

_ASYMMETRIC: Final = frozenset({"ES256", "RS256", "EdDSA"})
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_LONGEST_TEXT: Final = 200
_SMALLEST_SECRET: Final = 32
_PUBLIC_KEYS: Final = ("-----BEGIN", "ssh-", "ecdsa-", "{")
"""How public keys begin, as PEM, as SSH writes them, and as JWK."""
_LOOK_AGAIN_SECONDS: Final = 60.0
_REFUSED_SECONDS: Final = 5.0
_REFUSED_REMEMBERED: Final = 1_000


class TooManyTokens(Exception):
    """So many signatures were bad within the last second that no further one is checked. Says nothing about this token."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A verified user.

    `is_anonymous`: signed in without an account (Supabase gives such users the role `authenticated`). Every edge refuses
    them like somebody without a token, unless a route declares that it takes them; no route does.
    """

    sub: str
    app_role: str = ""
    partner_id: str = ""
    operator_roles: frozenset[str] = field(default_factory=frozenset)
    cohorts: frozenset[str] = field(default_factory=frozenset)
    session_id: str = ""
    jti: str = ""
    is_anonymous: bool = False
    not_before: int = 0
    expires_at: int = 0

    @property
    def staff(self) -> bool:
        """As legacy's private.is_staff()."""
        return self.app_role in STAFF_ROLES


class Revoked(Protocol):
    """Where the newest list of revocations is: an attribute that is swapped, never changed in place."""

    @property
    def current(self) -> Revocations: ...


class NothingRevoked:
    """For processes that stand behind one that looks (services behind the gateway)."""

    current = Revocations()


class _Known(Generic[T]):
    """A verified token: what was made of it, and what it was judged by. No dataclass: a generic one cannot be compiled."""

    def __init__(
        self,
        *,
        value: T,
        identity: Identity,
        key: Key | None,
        since: float,
        look_again: float,
        generation: int,
        revocations: Revocations,
    ) -> None:
        self.value = value
        self.identity = identity
        self.key = key
        self.since = since
        self.look_again = look_again
        self.generation = generation
        self.revocations = revocations


@dataclass(frozen=True, kw_only=True)
class _Refused:
    """A token that was refused a moment ago, and what it was judged by."""

    reason: str
    at: float
    generation: int
    revocations: Revocations


class Verifier(Generic[T]):
    """Verifies tokens of one issuer, and remembers what `derive` makes of a verified one by the token's full bytes.

    At least the last `remembered` tokens, at most twice as many. What is remembered is checked at every use: its times,
    its key (a rotated set is asked for the same key again), and the list of revocations. `derive` may raise TokenRefused.
    To be used inside a running event loop.
    """

    def __init__(
        self,
        *,
        issuer: str,
        keys: KeySet,
        derive: Callable[[Identity, bytes], T],
        hs256_secret: str | None = None,
        revoked: Revoked | None = None,
        clock: Callable[[], float] = time.time,
        remembered: int = 10_000,
        bad_signatures_per_second: int = 500,
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._derive = derive
        self._secret = _checked_secret(hs256_secret) if hs256_secret is not None else None
        self._revoked = revoked or NothingRevoked()
        self._clock = clock
        self._remembered = remembered
        self._young: dict[bytes, _Known[T]] = {}
        self._old: dict[bytes, _Known[T]] = {}
        self._refused: dict[bytes, _Refused] = {}
        self._bad_signatures = _Allowance(bad_signatures_per_second)

    @property
    def size(self) -> int:
        """How many tokens are remembered."""
        return len(self._young) + len(self._old)

    def remembered(self, token: bytes) -> T | None:
        """What was made of a token that was verified before and is still good; None for every other: ask `verify`."""
        known = self._young.get(token)
        if known is None:
            known = self._old.pop(token, None)
            if known is None:
                return None
            self._remember(token, known)
        if (
            known.since <= self._clock() < known.look_again
            and known.generation == self._keys.generation
            and known.revocations is self._revoked.current
        ):
            return known.value
        if self._still_good(known):
            return known.value
        self._young.pop(token, None)
        self._old.pop(token, None)
        return None

    def _still_good(self, known: _Known[T]) -> bool:
        """Look again without checking the signature: it holds as long as the issuer has the very key that it was made with."""
        now, revocations = self._clock(), self._revoked.current
        expires = known.identity.expires_at + LEEWAY_SECONDS
        if not known.since <= now < expires or _covered(known.identity, revocations):
            return False
        if known.key is not None:
            if self._keys.known(known.key.kid) != known.key:
                return False
            self._keys.freshen()
        known.look_again = min(expires, now + _LOOK_AGAIN_SECONDS)
        known.generation, known.revocations = self._keys.generation, revocations
        return True

    async def verify(self, token: bytes) -> T:
        """What `derive` makes of a good token. Raises TokenRefused, TooManyTokens, or KeysUnavailable."""
        if len(token) > LARGEST_TOKEN:
            raise TokenRefused("size")
        known = self.remembered(token)
        if known is not None:
            return known
        self._refuse_again(token)
        try:
            return await self._judge(token)
        except TokenRefused as refused:
            # A key that is not known now may be fetched in a moment.
            if refused.reason != "unknown_key":
                self._remember_refused(token, refused.reason)
            raise

    async def _judge(self, token: bytes) -> T:
        """Cheapest first; the signature last. Keys are fetched only for what is good but for its unknown key."""
        now, revocations = self._clock(), self._revoked.current
        jws = read_jws(token)
        identity = judge_claims(jws.claims, issuer=self._issuer, now=now)
        if _covered(identity, revocations):
            raise TokenRefused("revoked")
        key = await self._key(jws)
        self._check_signature(jws, key)
        value = self._derive(identity, token)
        expires = identity.expires_at + LEEWAY_SECONDS
        known = _Known(
            value=value,
            identity=identity,
            key=key,
            since=identity.not_before - LEEWAY_SECONDS,
            look_again=min(expires, now + _LOOK_AGAIN_SECONDS),
            generation=self._keys.generation,
            revocations=revocations,
        )
        self._remember(token, known)
        if key is not None:
            self._keys.freshen()
        return value

    async def _key(self, jws: Jws) -> Key | None:
        """The one key that this token may be signed with; None for the secret."""
        if jws.algorithm == "HS256" and self._secret is not None:
            if jws.kid is not None and self._keys.known(jws.kid) is not None:
                raise TokenRefused("key")
            return None
        if jws.algorithm not in _ASYMMETRIC or jws.kid is None:
            raise TokenRefused("algorithm")
        key = self._keys.known(jws.kid) or await self._keys.key(jws.kid)
        if key is None:
            raise TokenRefused("unknown_key")
        if key.algorithm != jws.algorithm:
            raise TokenRefused("key")
        return key

    def _check_signature(self, jws: Jws, key: Key | None) -> None:
        if not self._bad_signatures.left(self._clock()):
            raise TooManyTokens
        if key is not None:
            good = key.verifies(jws.signature, jws.signed)
        else:
            expected = hmac.digest(self._secret or b"", jws.signed, "sha256")
            good = self._secret is not None and hmac.compare_digest(expected, jws.signature)
        if not good:
            self._bad_signatures.spend()
            raise TokenRefused("signature")

    def _remember(self, token: bytes, known: _Known[T]) -> None:
        """Two generations instead of an order of use: a hit among the young costs one lookup."""
        if len(self._young) >= self._remembered:
            self._old, self._young = self._young, {}
        self._young[token] = known

    def _refuse_again(self, token: bytes) -> None:
        """The same bad token within seconds costs a lookup."""
        refused = self._refused.get(token)
        if (
            refused is not None
            and refused.at <= self._clock() < refused.at + _REFUSED_SECONDS
            and refused.generation == self._keys.generation
            and refused.revocations is self._revoked.current
        ):
            raise TokenRefused(refused.reason)

    def _remember_refused(self, token: bytes, reason: str) -> None:
        self._refused.pop(token, None)
        if len(self._refused) >= _REFUSED_REMEMBERED:
            del self._refused[next(iter(self._refused))]
        self._refused[token] = _Refused(
            reason=reason,
            at=self._clock(),
            generation=self._keys.generation,
            revocations=self._revoked.current,
        )


class _Allowance:
    """So many a second, and as many at once. Only bad signatures are counted: however many users come, a good token is
    checked once, while bad ones are as many as somebody cares to make."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left = float(per_second)
        self._at = float("-inf")

    def left(self, now: float) -> bool:
        grown = max(0.0, now - self._at) * self._per_second
        self._left, self._at = min(float(self._per_second), self._left + grown), now
        return self._left >= 1

    def spend(self) -> None:
        self._left -= 1


def judge_claims(claims: Mapping[str, Any], *, issuer: str, now: float) -> Identity:
    """The user whom these claims name, if they may be a user's of this issuer at this time. Pure. Raises TokenRefused."""
    if claims.get("role") == "service_role":
        raise TokenRefused("service_key")
    expires_at, issued_at = claims.get("exp"), claims.get("iat", 0)
    not_before = claims.get("nbf", 0)
    # bool is an int to Python, not to us.
    if type(expires_at) is not int or type(issued_at) is not int or type(not_before) is not int:
        raise TokenRefused("times")
    not_before = max(not_before, issued_at)
    second = math.floor(now)  # whole against whole: a claim may be larger than any float
    if expires_at + LEEWAY_SECONDS <= second:
        raise TokenRefused("expired")
    if not_before - LEEWAY_SECONDS > second:
        raise TokenRefused("early")
    if "iat" in claims and expires_at - issued_at > LONGEST_LIFE_SECONDS:
        raise TokenRefused("life")
    if expires_at > second + LONGEST_LIFE_SECONDS + LEEWAY_SECONDS:
        raise TokenRefused("life")
    if claims.get("iss") != issuer:
        raise TokenRefused("issuer")
    audience = claims.get("aud")
    if audience != "authenticated" and not _names(audience, "authenticated"):
        raise TokenRefused("audience")
    if claims.get("role") != "authenticated":
        raise TokenRefused("role")
    return _identity(claims, not_before, expires_at)


def _identity(claims: Mapping[str, Any], not_before: int, expires_at: int) -> Identity:
    sub, session_id, jti = claims.get("sub"), claims.get("session_id", ""), claims.get("jti", "")
    if not isinstance(sub, str) or not _UUID.fullmatch(sub):
        raise TokenRefused("subject")
    # What can be revoked must be what an operator can write.
    if _text(session_id) != session_id or _text(jti) != jti:
        raise TokenRefused("claims")
    app = claims.get("app_metadata")
    app = app if isinstance(app, dict) else {}
    return Identity(
        sub=sub,
        app_role=_text(app.get("app_role")),
        partner_id=_text(app.get("partner_id")),
        operator_roles=_words(app.get("banyan_roles")),
        cohorts=_words(app.get("banyan_cohorts")),
        session_id=session_id,
        jti=jti,
        is_anonymous=claims.get("is_anonymous", False) is not False,
        not_before=not_before,
        expires_at=expires_at,
    )


def _names(audience: Any, wanted: str) -> bool:
    return (
        isinstance(audience, list)
        and all(isinstance(name, str) for name in audience)
        and wanted in audience
    )


def _text(value: Any) -> str:
    """Text that can be a database setting and a log field: no controls, no half surrogates."""
    fine = isinstance(value, str) and len(value) <= _LONGEST_TEXT and value.isprintable()
    return value if fine else ""


def _words(value: Any) -> frozenset[str]:
    return frozenset(filter(None, map(_text, value))) if isinstance(value, list) else frozenset()


def _covered(identity: Identity, revocations: Revocations) -> bool:
    return revocations.cover(sub=identity.sub, session_id=identity.session_id, jti=identity.jti)


def _checked_secret(secret: str) -> bytes:
    """Raises ValueError for a secret that is short, or a public key: everybody could sign with it."""
    raw = secret.encode()
    if len(raw) < _SMALLEST_SECRET:
        raise ValueError(f"the HS256 secret must have {_SMALLEST_SECRET} bytes or more")
    if secret.lstrip().startswith(_PUBLIC_KEYS):
        raise ValueError("the HS256 secret is a key file: a public key is no secret")
    return raw


def row_claims(identity: Identity) -> str:
    """What row-level security of a service may know of the caller, as JSON for one PostgreSQL setting."""
    return json.dumps(
        {"sub": identity.sub, "app_role": identity.app_role, "partner_id": identity.partner_id}
    )
