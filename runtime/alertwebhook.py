"""`HttpWebhook`: where alerts are told, by HTTP.

NotDelivered   the receiver did not take it
"""

from typing import Protocol
from urllib.parse import urlsplit

from runtime.settings import Settings
from runtime.settingserror import SettingsError
from runtime.upstream.configured import client_context
from runtime.upstream.errors import UpstreamError
from runtime.upstream.upstream import Upstream

_LARGEST_ANSWER = 64 * 1024


class NotDelivered(Exception):
    """The class of the failure, or the status; the URL may be a secret."""


class Webhook(Protocol):
    """Where alerts are told."""

    async def post(self, body: bytes) -> None:
        """Raises NotDelivered."""
        ...


class HttpWebhook:
    """A URL."""

    def __init__(self, upstream: Upstream, target: bytes) -> None:
        self.upstream = upstream
        self._target = target

    @classmethod
    def of(cls, settings: Settings) -> "HttpWebhook | None":
        """None: nobody is to be told. Raises SettingsError."""
        if settings.alert_webhook_url is None:
            return None
        parts = urlsplit(settings.need_secret("alert_webhook_url"))
        try:
            upstream = Upstream(
                "alert_webhook",
                f"{parts.scheme}://{parts.netloc}",
                connections=1,
                connect=settings.connect_seconds,
                deadline=settings.read_deadline_seconds,
                max_bytes=_LARGEST_ANSWER,
                tls=client_context(settings.upstream_ca_file) if parts.scheme == "https" else None,
            )
        except ValueError:
            raise SettingsError(["ALERT_WEBHOOK_URL must be http(s)://host[:port]/path"]) from None
        path = parts.path or "/"
        return cls(upstream, f"{path}?{parts.query}".encode() if parts.query else path.encode())

    async def post(self, body: bytes) -> None:
        headers = [(b"content-type", b"application/json")]
        try:
            reply = await self.upstream.fetch("POST", self._target, headers, body)
        except UpstreamError as error:
            raise NotDelivered(type(error).__name__) from None
        if not 200 <= reply.status < 300:
            raise NotDelivered(str(reply.status))
