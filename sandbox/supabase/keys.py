"""The stand-in project's keys: the ES256 key that signs user tokens, the old HS256 secret, and the API keys.

Made at the first start and kept in the state folder, readable by its owner only. `Keyring.open` works without a
server, so that the sandbox can mint sample tokens before the stand-in is up.

TokenError           a bearer token that PostgREST refuses, with its code
  PGRST301           not a token, wrong key, wrong signature
  PGRST303           expired, not yet valid, or a claim of the wrong type

Stand-in, not PostgREST, never for production.
"""

import base64
import os
import secrets
import tempfile
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

LEEWAY_SECONDS = 30
LOGIN_SECONDS = 3600
SAMPLE_SECONDS = 12 * 3600
_FILE = "keys.json"
_CACHED_TOKENS = 1000


class TokenError(Exception):
    """Why a bearer token is refused; `message` is a fixed phrase."""

    def __init__(self, code: Literal["PGRST301", "PGRST303"], message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, kw_only=True)
class User:
    """A row of auth.users, as tokens and the Auth answers show it."""

    id: str
    email: str
    app_metadata: Mapping[str, Any] = field(default_factory=dict)
    user_metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: str = "1970-01-01T00:00:00Z"


class Keyring:
    """One project's keys. `issuer` is its public base URL with /auth/v1 behind it."""

    def __init__(
        self, stored: Mapping[str, str], base_url: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        key = serialization.load_pem_private_key(stored["signing_key"].encode(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the signing key is no EC key")
        self._signing = key
        self._public = key.public_key()
        self._secret = stored["hs256_secret"]
        self._clock = clock
        self._verified: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self.kid = stored["kid"]
        self.issuer = f"{base_url.rstrip('/')}/auth/v1"
        self.publishable = stored["publishable"]
        self.secret = stored["secret"]
        self.anon = stored["anon"]
        self.service_role = stored["service_role"]

    @classmethod
    def open(
        cls,
        state: Path,
        base_url: str,
        *,
        publishable: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> "Keyring":
        """The keys of the state folder, made now if there are none. Safe for two processes at once.

        `publishable` takes the place of the stored publishable key."""
        path = state / _FILE
        if not path.exists():
            state.mkdir(parents=True, exist_ok=True)
            _store(path, _fresh(int(clock())))
        stored = orjson.loads(path.read_bytes())
        if publishable is not None:
            stored["publishable"] = publishable
        return cls(stored, base_url, clock=clock)

    def mint(
        self,
        user: User,
        *,
        seconds: int = LOGIN_SECONDS,
        session_id: str | None = None,
        aal: Literal["aal1", "aal2"] = "aal1",
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """An access token as Supabase Auth gives it; `claims` replace the usual ones (tests)."""
        now = int(self._clock())
        payload = {
            "iss": self.issuer,
            "aud": "authenticated",
            "exp": now + seconds,
            "iat": now,
            "sub": user.id,
            "email": user.email,
            "phone": "",
            "app_metadata": user.app_metadata,
            "user_metadata": user.user_metadata,
            "role": "authenticated",
            "aal": aal,
            "amr": [{"method": "password", "timestamp": now}],
            "session_id": session_id or str(uuid.uuid4()),
            "is_anonymous": False,
            **(claims or {}),
        }
        return jwt.encode(payload, self._signing, algorithm="ES256", headers={"kid": self.kid})

    def jwks(self) -> dict[str, Any]:
        """The public half. HS256 keys are never in a key set."""
        numbers = self._public.public_numbers()
        return {
            "keys": [
                {
                    "kty": "EC",
                    "crv": "P-256",
                    "alg": "ES256",
                    "use": "sig",
                    "key_ops": ["verify"],
                    "ext": True,
                    "kid": self.kid,
                    "x": _coordinate(numbers.x),
                    "y": _coordinate(numbers.y),
                }
            ]
        }

    def verify(self, token: str) -> Mapping[str, Any]:
        """The claims of a token as PostgREST would accept it. Raises TokenError.

        The algorithm is pinned to the key: ES256 to the signing key, HS256 to the old secret.
        """
        claims = self._verified.get(token)
        if claims is None:
            claims = self._decoded(token)
            self._verified[token] = claims
            if len(self._verified) > _CACHED_TOKENS:
                self._verified.popitem(last=False)
        self._check_times(claims)
        return claims

    def _decoded(self, token: str) -> Mapping[str, Any]:
        parts = token.count(".") + 1
        if parts != 3:
            raise TokenError("PGRST301", f"Expected 3 parts in JWT; got {parts}")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") == "ES256" and header.get("kid", self.kid) == self.kid:
                return _decode(token, self._public, "ES256")
            if header.get("alg") == "HS256":
                return _decode(token, self._secret, "HS256")
        except jwt.InvalidTokenError:
            raise TokenError("PGRST301", "JWT cryptographic operation failed") from None
        raise TokenError("PGRST301", "No suitable key or wrong key type")

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = int(self._clock())
        for name in ("exp", "nbf", "iat"):
            if name in claims and (
                isinstance(claims[name], bool) or not isinstance(claims[name], int | float)
            ):
                raise TokenError("PGRST303", f"The JWT '{name}' claim must be a number")
        if claims.get("exp", now) < now - LEEWAY_SECONDS:
            raise TokenError("PGRST303", "JWT expired")
        if claims.get("nbf", now) > now + LEEWAY_SECONDS:
            raise TokenError("PGRST303", "JWT not yet valid")
        if claims.get("iat", now) > now + LEEWAY_SECONDS:
            raise TokenError("PGRST303", "JWT issued at future")


def _decode(token: str, key: ec.EllipticCurvePublicKey | str, algorithm: str) -> dict[str, Any]:
    """Signature only: PyJWT's ideas of times and audiences are not PostgREST's."""
    return jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        options={
            "verify_signature": True,
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
            "verify_aud": False,
            "verify_iss": False,
            "verify_sub": False,
            "verify_jti": False,
        },
    )


def _fresh(now: int) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    hs256 = secrets.token_urlsafe(48)
    years = now + 10 * 365 * 86400
    return {
        "signing_key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        "kid": str(uuid.uuid4()),
        "hs256_secret": hs256,
        "publishable": f"sb_publishable_{secrets.token_urlsafe(24)}",
        "secret": f"sb_secret_{secrets.token_urlsafe(24)}",
        **{
            role: jwt.encode(
                {"iss": "supabase", "ref": "standin", "role": role, "iat": now, "exp": years},
                hs256,
                algorithm="HS256",
            )
            for role in ("anon", "service_role")
        },
    }


def _store(path: Path, keys: Mapping[str, str]) -> None:
    """Whole or not at all, and the first one wins."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".keys")
    with os.fdopen(handle, "wb") as file:
        file.write(orjson.dumps(keys, option=orjson.OPT_INDENT_2))
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        Path(part).unlink()


def _coordinate(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
