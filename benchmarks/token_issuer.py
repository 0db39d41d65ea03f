"""A token issuer of one's own: keys of every kind, their key set, and tokens down to the last byte."""

import base64
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Sign = Callable[[bytes], bytes]

ALGORITHMS: Final = {"ec": "ES256", "rsa": "RS256", "ed": "EdDSA"}
"""By key id."""


class TokenIssuer:
    """One project's keys, with the ids `ec`, `rsa` and `ed`, and its old secret."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.sub = str(uuid.uuid4())
        self.secret = uuid.uuid4().hex + uuid.uuid4().hex
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ed = ed25519.Ed25519PrivateKey.generate()

    def sign(self, kid: str) -> Sign:
        """Signs with the key of that id."""
        return {"ec": es256(self.ec), "rsa": rs256(self.rsa), "ed": self.ed.sign}[kid]

    def key_set(self, *, ec_kid: str = "ec") -> dict[str, Any]:
        """The JWKS document."""
        return {
            "keys": [
                {
                    **ECAlgorithm.to_jwk(self.ec.public_key(), as_dict=True),
                    "kid": ec_kid,
                    "alg": "ES256",
                    "use": "sig",
                },
                {**RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True), "kid": "rsa"},
                {**OKPAlgorithm.to_jwk(self.ed.public_key(), as_dict=True), "kid": "ed"},
            ]
        }

    def claims(self, **changed: Any) -> dict[str, Any]:
        """A user's good claims, an hour valid; a claim that is given as `...` is left out."""
        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "aud": "authenticated",
            "sub": self.sub,
            "role": "authenticated",
            "iat": now,
            "exp": now + 3600,
            "session_id": str(uuid.uuid4()),
            "app_metadata": {"app_role": "patient"},
            "user_metadata": {"role": "service_role", "app_role": "admin"},
        }
        return {name: value for name, value in {**usual, **changed}.items() if value is not ...}

    def mint(
        self, *, kid: str = "ec", header: Mapping[str, Any] | None = None, **claims: Any
    ) -> bytes:
        """A token signed with the key `kid`; `claims` and `header` replace the usual members."""
        head = {"alg": ALGORITHMS.get(kid, "ES256"), "kid": kid, "typ": "JWT", **(header or {})}
        head = {name: value for name, value in head.items() if value is not ...}
        return token(head, self.claims(**claims), self.sign(kid if kid in ALGORITHMS else "ec"))

    def mint_hs256(self, *, header: Mapping[str, Any] | None = None, **claims: Any) -> bytes:
        """A token of the old kind."""
        head = {"alg": "HS256", "typ": "JWT", **(header or {})}
        return token(head, self.claims(**claims), hs(self.secret.encode()))


def token(header: Any, claims: Any, sign: Sign) -> bytes:
    """A compact token of any two parts (bytes as they are, all else as JSON)."""
    signed = part(header) + b"." + part(claims)
    return signed + b"." + part(sign(signed))


def part(value: Any) -> bytes:
    """Base64url without padding."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def es256(key: ec.EllipticCurvePrivateKey) -> Sign:
    def sign(signed: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def rs256(key: rsa.RSAPrivateKey) -> Sign:
    return lambda signed: key.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def hs(secret: bytes, algorithm: hashes.HashAlgorithm | None = None) -> Sign:
    """HMAC, with SHA-256 if nothing else is said. An empty secret counts as one."""

    def sign(signed: bytes) -> bytes:
        # An empty key is the same as one zero byte: HMAC pads with zeros.
        mac = hmac.HMAC(secret or b"\0", algorithm or hashes.SHA256())
        mac.update(signed)
        return mac.finalize()

    return sign
