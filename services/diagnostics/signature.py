"""Signatures of laboratories' messages: `X-Vendor-Signature: t=<unix seconds>,v1=<hex of HMAC-SHA256>`. Pure.

What is signed is `<t>.` and the body's bytes as they came. A message is as good as new for five minutes; whoever repeats
it meets its event id. Several `v1` are allowed, for a sender that signs with an old and a new secret; parts of other names
are left to later versions.
"""

import re
from collections.abc import Sequence

from routes.refused import Unauthenticated
from runtime.vendorkeys import VendorKeys

HEADER = b"x-vendor-signature"
TOLERANCE_SECONDS = 300
_MOST_PARTS = 8
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


def signer(headers: Sequence[bytes], body: bytes, now: float, keys: VendorKeys) -> str:
    """The vendor that signed this message; `now` in unix seconds. Raises Unauthenticated, for every reason alike."""
    if len(headers) != 1:
        raise Unauthenticated
    parts = [part.strip().partition("=") for part in headers[0].decode("latin-1").split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = tuple(bytes.fromhex(v) for n, _, v in parts if n == "v1" and _HEX.fullmatch(v))
    if len(parts) > _MOST_PARTS or len(times) != 1 or _SECONDS.fullmatch(times[0]) is None:
        raise Unauthenticated
    vendor = keys.signer(times[0].encode() + b"." + body, signatures)
    if vendor is None or abs(now - int(times[0])) > TOLERANCE_SECONDS:
        raise Unauthenticated
    return vendor
