"""The caller of a request, by the caller's own token: no header says who somebody is (decisions.md 20)."""

from starlette.requests import Request

from routes.refused import Malformed, Unauthenticated
from runtime.identity import Identity, TokenRefused, Verifier


async def identify(request: Request, verifier: Verifier[Identity]) -> Identity:
    """The verified user. Raises Unauthenticated, for every reason alike; Malformed for two tokens; TooManyTokens, KeysUnavailable."""
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        raise Malformed
    scheme, _, token = (given[0] if given else "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated
    try:
        identity = await verifier.verify(token.encode("latin-1"))
    except TokenRefused:
        raise Unauthenticated from None
    if identity.is_anonymous:
        raise Unauthenticated
    return identity
