"""`VendorKeys`: who outside may send us signed messages, and with which secrets.

As a setting: `vendor:base64,vendor:base64`, each secret 32 bytes or more. To rotate one, name the vendor twice, with the
new secret and the old one: either signs until the old one is taken off. A vendor is named as rows name it; what a name
holds of `,` `:` and `%` is percent-encoded.

VendorKeysInvalid   the setting is not of that form; the message holds nothing of it
"""

import base64
import binascii
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

LEAST_BYTES = 32


class VendorKeysInvalid(ValueError):
    """One sentence that names the secret by its place."""


@dataclass(frozen=True, kw_only=True)
class VendorKeys:
    """Pairs of a vendor's name and a secret of it; the secrets are in no repr."""

    secrets: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)

    def signer(self, message: bytes, signatures: tuple[bytes, ...]) -> str | None:
        """Whose secret has made one of these HMAC-SHA256 over the message; None if nobody's.

        Every secret is tried, and compared in constant time: how long it takes tells neither who is known nor how much
        of a signature is right.
        """
        found = list(self._signers(message, signatures))
        return found[0] if found else None

    def _signers(self, message: bytes, signatures: tuple[bytes, ...]) -> Iterator[str]:
        for vendor, secret in self.secrets:
            right = hmac.digest(secret, message, "sha256")
            if any(hmac.compare_digest(right, one) for one in signatures):
                yield vendor


def read_vendor_keys(text: str) -> VendorKeys:
    """The secrets of a setting. Raises VendorKeysInvalid."""
    found: list[tuple[str, bytes]] = []
    for place, entry in enumerate(text.split(","), start=1):
        name, _, encoded = entry.strip().rpartition(":")
        vendor = unquote(name)
        secret = _decoded(encoded)
        if not vendor:
            raise VendorKeysInvalid(
                f"secret {place} has no vendor: the form is vendor:base64,vendor:base64"
            )
        if secret is None:
            raise VendorKeysInvalid(f"secret {place} is not {LEAST_BYTES} bytes or more in base64")
        if secret in [other for _, other in found]:
            raise VendorKeysInvalid(f"secret {place} is another one again: who signs would be open")
        found.append((vendor, secret))
    return VendorKeys(secrets=tuple(found))


def _decoded(encoded: str) -> bytes | None:
    try:
        secret = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):  # the latter: not ASCII
        return None
    return secret if len(secret) >= LEAST_BYTES else None
