"""Whose request it is: the token, and the user behind it."""

from gateway.credentials import SERVICE_KEY, user_token
from gateway.deps import Deps
from gateway.edge.request import Request
from gateway.user import User
from routes.refused import Unauthenticated
from runtime.identity import TokenRefused


def identify(request: Request, deps: Deps) -> bytes:
    """The token of the request, unverified. Raises Unauthenticated, for every reason alike."""
    headers = request.headers
    try:
        token = user_token(headers.get(b"authorization"), headers.get(b"apikey"))
        if token is None:
            raise TokenRefused("missing")
    except TokenRefused as refused:
        raise _refused(refused, deps) from None
    return token


async def verified(token: bytes, deps: Deps) -> User:
    """Whose it is. Raises Unauthenticated, KeysUnavailable, TooManyTokens."""
    try:
        return await deps.verifier.verify(token)
    except TokenRefused as refused:
        raise _refused(refused, deps) from None


def _refused(refused: TokenRefused, deps: Deps) -> Unauthenticated:
    deps.metrics.refused_tokens.inc(refused.reason)
    if refused.reason == SERVICE_KEY:
        deps.alarm.ring(SERVICE_KEY)
    return Unauthenticated()


async def known(request: Request, deps: Deps) -> User:
    """The user, within the limits of how often one may ask. Raises Unauthenticated, RateLimited, and what `verified` raises."""
    token = identify(request, deps)
    user = deps.verifier.remembered(token) or await verified(token, deps)
    deps.limits.take(user)
    return user
