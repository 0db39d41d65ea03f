"""Header names as they usually come, and their lower-case form: looked up, since most are among them, and not made anew."""

from typing import Final

_USUAL = """
    accept accept-encoding accept-language accept-ranges access-control-request-headers access-control-request-method
    age allow apikey authorization cache-control connection content-encoding content-language content-length
    content-location content-range content-security-policy content-type cookie date dnt etag expect expires host
    if-match if-modified-since if-none-match idempotency-key keep-alive last-modified link location origin pragma prefer
    preference-applied priority range referer retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest
    sec-fetch-mode sec-fetch-site server set-cookie strict-transport-security te traceparent tracestate
    transfer-encoding upgrade user-agent vary via www-authenticate x-banyan-rows x-client-info
    x-content-type-options x-correlation-id x-forwarded-for x-forwarded-host x-forwarded-proto x-frame-options
    x-real-ip x-request-id x-retry-count
""".split()

LOWER: Final[dict[bytes, bytes]] = {
    spelt.encode(): name.encode() for name in _USUAL for spelt in (name, name.title())
}
"""None of them has an underscore. For another name: `name.lower()`."""
LOWER.update(
    {
        b"WWW-Authenticate": b"www-authenticate",
        b"TE": b"te",
        b"ETag": b"etag",
        b"DNT": b"dnt",
        b"X-Real-IP": b"x-real-ip",
        b"X-Correlation-ID": b"x-correlation-id",
    }
)
