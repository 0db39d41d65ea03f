"""The key set of the configured token issuer, fetched over an upstream of its own."""

from urllib.parse import urlsplit

from runtime.jwks import KeySet
from runtime.settings import Settings
from runtime.upstream import Upstream, UpstreamError


class KeysNotServed(OSError):
    """The issuer did not answer with a key set."""


def issuer_url(settings: Settings) -> str:
    """Where the key set is."""
    return (
        settings.token_jwks_url
        or settings.need("token_issuer").rstrip("/") + "/.well-known/jwks.json"
    )


def issuer_upstream(settings: Settings) -> Upstream:
    """An upstream for keys alone: they never wait behind user traffic."""
    parts = urlsplit(issuer_url(settings))
    return Upstream(
        "keys",
        f"{parts.scheme}://{parts.netloc}",
        connections=2,
        deadline=settings.read_deadline_seconds,
    )


def issuer_keys(settings: Settings, upstream: Upstream) -> KeySet:
    """Keys over `issuer_upstream`."""
    target = urlsplit(issuer_url(settings)).path.encode()

    async def fetch() -> bytes:
        try:
            reply = await upstream.fetch("GET", target, [(b"accept", b"application/json")])
        except UpstreamError as error:
            raise KeysNotServed(str(error)) from None
        if reply.status != 200:
            raise KeysNotServed(str(reply.status))
        return reply.body

    return KeySet(fetch)
