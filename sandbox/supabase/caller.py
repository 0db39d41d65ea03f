"""Who calls, as the API edge and PostgREST see it: the API key, the bearer token, the database role. Pure.

Stand-in, not PostgREST, never for production.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.responses import Response

from sandbox.supabase.errors import RestError
from sandbox.supabase.keys import Keyring, TokenError


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The role that the transaction takes, and the claims that policies read."""

    role: str
    claims: Mapping[str, Any]

    @property
    def anonymous(self) -> bool:
        return self.role == "anon"

    def claims_json(self) -> str:
        """What `request.jwt.claims` holds; the role is in it even where the token had none."""
        return orjson.dumps({**self.claims, "role": self.role}).decode()


def refuse_api_key(apikey: str | None, agent: str | None, keys: Keyring) -> Response | None:
    """The edge's own refusal, in the edge's own shape, or None if the key is good."""
    if not apikey:
        return _refusal(
            "No API key found in request",
            "No `apikey` request header or url param was found.",
        )
    if apikey not in (keys.publishable, keys.secret, keys.anon, keys.service_role):
        return _refusal(
            "Invalid API key", "Double check your Supabase `anon` or `service_role` API key."
        )
    if apikey == keys.secret and (agent or "").startswith("Mozilla/"):
        return _refusal(
            "Forbidden use of secret API key in browser",
            "Secret API keys can only be used in a protected environment and should never be used"
            " in a browser.",
        )
    return None


def identify(authorization: str | None, apikey: str, keys: Keyring) -> Caller:
    """The API key stands in for a missing bearer token, and is one where both are equal.

    Raises RestError PGRST301 or PGRST303 for a token that does not verify."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip() if scheme.lower() == "bearer" else ""
    token = token or apikey
    if token == apikey == keys.publishable:
        return Caller(role="anon", claims={})
    if token == apikey == keys.secret:
        return Caller(role="service_role", claims={})
    try:
        claims = keys.verify(token)
    except TokenError as error:
        raise RestError(
            error.code,
            error.message,
            headers={
                "WWW-Authenticate": 'Bearer error="invalid_token", '
                f'error_description="{error.message}"'
            },
        ) from None
    role = claims.get("role")
    return Caller(role=role if isinstance(role, str) else "anon", claims=claims)


def _refusal(message: str, hint: str) -> Response:
    return Response(
        orjson.dumps({"message": message, "hint": hint}),
        status_code=401,
        media_type="application/json",
    )
