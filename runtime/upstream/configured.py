"""An `Upstream` as the settings want it."""

import ssl
from pathlib import Path

from runtime.settings import Settings
from runtime.settingserror import SettingsError
from runtime.upstream.upstream import Upstream


def upstream(
    settings: Settings, name: str, url: str, *, connections: int, deadline: float | None = None
) -> Upstream:
    """`deadline` in seconds, else that of reads. Raises SettingsError for a URL or a certificate file that cannot be used."""
    secure = url.lower().startswith("https://")
    try:
        return Upstream(
            name,
            url,
            connections=connections,
            pool_wait=settings.pool_wait_seconds,
            connect=settings.connect_seconds,
            deadline=deadline or settings.read_deadline_seconds,
            idle=settings.upstream_idle_seconds,
            tls=client_context(settings.upstream_ca_file) if secure else None,
        )
    except ValueError as error:
        raise SettingsError([str(error)]) from None


def client_context(authorities: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, with verification of certificate and host name by the system's authorities and those named.

    Raises SettingsError.
    """
    context = ssl.create_default_context()
    if authorities is not None:
        try:
            context.load_verify_locations(cafile=authorities)
        except OSError as error:
            reason = error.strerror or "holds no certificate"
            raise SettingsError([f"UPSTREAM_CA_FILE: {authorities}: {reason}"]) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
