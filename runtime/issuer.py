"""The configured token issuer: its key set, fetched over an upstream of its own, and the verifier of its tokens."""

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from runtime.identity import Identity, Revoked, Verifier
from runtime.jwks import LARGEST_SET, KeySet
from runtime.settings import Settings
from runtime.settingserror import SettingsError
from runtime.upstream.configured import client_context
from runtime.upstream.errors import UpstreamError
from runtime.upstream.upstream import Upstream

T = TypeVar("T")


class KeysNotServed(OSError):
    """The issuer did not answer with a key set."""


def issuer_url(settings: Settings) -> str:
    """Where the key set is."""
    return (
        settings.token_jwks_url
        or settings.need("token_issuer").rstrip("/") + "/.well-known/jwks.json"
    )


def issuer_upstream(settings: Settings) -> Upstream:
    """An upstream for keys alone: they never wait behind user traffic. Raises SettingsError."""
    parts = urlsplit(issuer_url(settings))
    try:
        return Upstream(
            "keys",
            f"{parts.scheme}://{parts.netloc}",
            connections=2,
            connect=settings.connect_seconds,
            deadline=settings.read_deadline_seconds,
            max_bytes=LARGEST_SET,
            tls=client_context(settings.upstream_ca_file) if parts.scheme == "https" else None,
        )
    except ValueError as error:
        raise SettingsError([str(error)]) from None


def issuer_keys(settings: Settings, upstream: Upstream) -> KeySet:
    """Keys over `issuer_upstream`."""
    parts = urlsplit(issuer_url(settings))
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path

    async def fetch() -> bytes:
        try:
            reply = await upstream.fetch("GET", target.encode(), [(b"accept", b"application/json")])
        except UpstreamError as error:
            raise KeysNotServed(type(error).__name__) from None
        if reply.status != 200:
            raise KeysNotServed(str(reply.status))
        return reply.body

    return KeySet(fetch)


def issuer_verifier(
    settings: Settings,
    keys: KeySet,
    *,
    derive: Callable[[Identity, bytes], T],
    revoked: Revoked | None = None,
) -> Verifier[T]:
    """Verifies the issuer's tokens and remembers what `derive` makes of them. Raises SettingsError."""
    secret = settings.token_hs256_secret
    try:
        return Verifier(
            issuer=settings.need("token_issuer"),
            keys=keys,
            derive=derive,
            hs256_secret=secret.get_secret_value() if secret else None,
            revoked=revoked,
        )
    except ValueError as error:
        raise SettingsError([f"TOKEN_HS256_SECRET: {error}"]) from None


def issuer_identities(
    settings: Settings, keys: KeySet, *, revoked: Revoked | None = None
) -> Verifier[Identity]:
    """`issuer_verifier` for whoever wants the user and nothing else."""
    return issuer_verifier(settings, keys, derive=lambda identity, _: identity, revoked=revoked)
