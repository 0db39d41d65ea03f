"""The gateway proves itself to a service: a token of its own, a minute long, for that service alone (decisions.md 11)."""

import time
from collections.abc import Callable

import jwt

HEADER = b"x-banyan-gateway"
ISSUER = "banyan-gateway"
LIFE_SECONDS = 60
_LEEWAY_SECONDS = 5


class NotTheGateway(Exception):
    """The caller of an internal route did not prove to be the gateway."""


class InternalTokens:
    """Mints and checks with one shared key; a minted token is used again while half of its life is left."""

    def __init__(self, key: str, *, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._minted: dict[str, tuple[float, bytes]] = {}

    def mint(self, audience: str) -> bytes:
        """The header value for one service."""
        now = self._clock()
        made_at, token = self._minted.get(audience, (float("-inf"), b""))
        if now - made_at > LIFE_SECONDS / 2 or now < made_at:
            claims = {
                "iss": ISSUER,
                "aud": audience,
                "iat": int(now),
                "exp": int(now) + LIFE_SECONDS,
            }
            token = jwt.encode(claims, self._key, algorithm="HS256").encode()
            self._minted[audience] = (now, token)
        return token

    def check(self, token: str | None, audience: str) -> None:
        """Raises NotTheGateway."""
        try:
            claims = jwt.decode(
                token or "",
                self._key,
                algorithms=["HS256"],
                audience=audience,
                issuer=ISSUER,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "aud", "iss"]},
            )
        except jwt.PyJWTError:
            raise NotTheGateway from None
        if claims["exp"] - claims["iat"] > LIFE_SECONDS:
            raise NotTheGateway
