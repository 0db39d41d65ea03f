"""The caller of a request, by the caller's own token: no header says who somebody is (decisions.md 20)."""

from starlette.requests import Request

from routes.refused import Malformed, Unauthenticated
from runtime.identity import Identity, TokenRefused, Verifier


async def identify(request: Request, verifier: Verifier) -> Identity:
    """The verified user. Raises Unauthenticated, for every reason alike; Malformed for two tokens; KeysUnavailable."""
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        raise Malformed
    scheme, _, token = (given[0] if given else "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated
    try:
        return await verifier.verify(token)
    except TokenRefused:
        raise Unauthenticated from None
