"""Tokens that are forged: another algorithm, another key, another signature than the issuer's (see benchmarks.bad_tokens)."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from benchmarks.token_issuer import ALGORITHMS, Sign, TokenIssuer, es256, hs, part, rs256, token

Cases = Iterator[tuple[str, bytes, str]]
"""Name, token, and the reason that it must be refused for."""

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def algorithms(issuer: TokenIssuer) -> Cases:
    """`none` in every dress, and algorithms that are none."""
    words = ["none", "None", "NONE", "nOnE", "none ", " none", "", "es256", "ES256 ", "ES256\0"]
    odd: list[Any] = [None, 0, True, [], ["ES256"], {"alg": "ES256"}, ...]
    good = issuer.sign("ec")
    for alg in [*words, *odd]:
        header = {"alg": alg, "kid": "ec"} if alg is not ... else {"kid": "ec"}
        reason = "algorithm" if isinstance(alg, str) else "header"
        yield f"{alg!r}, signed all the same", token(header, issuer.claims(), good), reason
        yield f"{alg!r}, zeros", token(header, issuer.claims(), lambda _: bytes(64)), reason
        yield f"{alg!r}, empty", token(header, issuer.claims(), lambda _: b""), "form"
        if isinstance(alg, str):
            bare = token({"alg": alg}, issuer.claims(), lambda _: b"x")
            yield f"{alg!r}, no kid", bare, reason
    for (
        alg
    ) in "ES384 ES512 ES256K RS384 RS512 PS256 PS384 PS512 HS384 HS512 Ed25519 dir A128KW".split():
        yield alg, issuer.mint(header={"alg": alg}), "algorithm"
        yield f"{alg}, no kid", issuer.mint(header={"alg": alg, "kid": ...}), "algorithm"


def confusion(issuer: TokenIssuer) -> Cases:
    """HMAC with a public key as the secret, in every form that somebody might have it."""
    for kid, form, secret in _public_forms(issuer):
        for name, header, reason in (
            ("with its kid", {"alg": "HS256", "kid": kid}, "key"),
            ("no kid", {"alg": "HS256"}, "signature"),
        ):
            yield f"{kid} as {form}, {name}", token(header, issuer.claims(), hs(secret)), reason
        for bits, algorithm in ((384, hashes.SHA384()), (512, hashes.SHA512())):
            header = {"alg": f"HS{bits}", "kid": kid}
            signed = token(header, issuer.claims(), hs(secret, algorithm))
            yield f"{kid} as {form}, HS{bits}", signed, "algorithm"


def _public_forms(issuer: TokenIssuer) -> Iterator[tuple[str, str, bytes]]:
    public_keys: dict[str, PublicKey] = {
        "ec": issuer.ec.public_key(),
        "rsa": issuer.rsa.public_key(),
        "ed": issuer.ed.public_key(),
    }
    for kid, public in public_keys.items():
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        jwk = next(entry for entry in issuer.key_set()["keys"] if entry["kid"] == kid)
        yield kid, "PEM", pem
        yield kid, "PEM without the last newline", pem.rstrip()
        yield kid, "DER", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        yield kid, "SSH", public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        yield kid, "JWK", json.dumps(jwk).encode()
        number = jwk.get("x", jwk.get("n"))
        yield kid, "its number", number.encode()
        yield kid, "its number in bytes", base64.urlsafe_b64decode(number + "==")


def pinned(issuer: TokenIssuer) -> Cases:
    """A key used with another algorithm than its own."""
    for kid in ALGORITHMS:
        for other, algorithm in ALGORITHMS.items():
            if other != kid:
                made = token({"alg": algorithm, "kid": kid}, issuer.claims(), issuer.sign(other))
                yield f"{kid} by {algorithm} of {other}", made, "key"
                made = token({"alg": algorithm, "kid": kid}, issuer.claims(), issuer.sign(kid))
                yield f"{kid} named {algorithm}", made, "key"
                made = token(
                    {"alg": ALGORITHMS[kid], "kid": kid}, issuer.claims(), issuer.sign(other)
                )
                yield f"{kid} signed by {other}", made, "signature"
        yield f"secret as {kid}", issuer.mint_hs256(header={"kid": kid}), "key"
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signed = token(
        {"alg": "RS256", "kid": "rsa"},
        issuer.claims(),
        lambda s: issuer.rsa.sign(s, pss, hashes.SHA256()),
    )
    yield "RS256 with the padding of PS256", signed, "signature"


def kids(issuer: TokenIssuer) -> Cases:
    """The id of a key is short text and no path."""
    odd: list[Any] = [None, 1, 0, True, [], ["ec"], {}, {"kid": "ec"}, 1.5]
    texts = (
        "", "e" * 129, "e" * 4000, "../ec", "../../../../dev/null", "/dev/null", "ec/../ec", "a/b", "..\\ec",
        "C:\\ec", "file:///etc/passwd", "https://evil.example/jwks.json", "ec\0", "ec\n", "ec ", " ec", "ec\r\nx: y",
        "ec' or '1'='1", "ec;id", "ec|id", "$(id)", "`id`", "${jndi:ldap://x}", "%2e%2e%2fec", "ec%00", "\u0435c",
        "ec\u200b", "..", "ec..", "<ec>", '"ec"', "ec,rsa", "{ec}", "\ufeffec",
    )  # fmt: skip
    for kid in (*odd, *texts):
        yield repr(kid)[:40], issuer.mint(header={"kid": kid}), "header"
    yield "none", issuer.mint(header={"kid": ...}), "algorithm"


def headers(issuer: TokenIssuer) -> Cases:
    """Extensions that a reader has to understand, or refuse."""
    cases: dict[str, dict[str, Any]] = {
        "crit of nothing": {"crit": []},
        "crit of exp": {"crit": ["exp"], "exp": 1},
        "crit unknown": {"crit": ["x"], "x": 1},
        "crit is null": {"crit": None},
        "crit is text": {"crit": "exp"},
        "crit names b64": {"crit": ["b64"], "b64": False},
        "b64 false": {"b64": False},
        "b64 true": {"b64": True},
        "typ JWE": {"typ": "JWE"},
        "typ of another kind of token": {"typ": "at+jwt"},
        "typ is a list": {"typ": ["JWT"]},
        "typ is null": {"typ": None},
    }
    for name, header in cases.items():
        yield name, issuer.mint(header=header), "header"


def embedded(issuer: TokenIssuer) -> Cases:
    """Keys that come with the token, which is signed by them."""
    own_ec, own_ed = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    own_rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    strangers: dict[str, tuple[Sign, dict[str, Any]]] = {
        "ec": (es256(own_ec), ECAlgorithm.to_jwk(own_ec.public_key(), as_dict=True)),
        "rsa": (rs256(own_rsa), RSAAlgorithm.to_jwk(own_rsa.public_key(), as_dict=True)),
        "ed": (own_ed.sign, OKPAlgorithm.to_jwk(own_ed.public_key(), as_dict=True)),
    }
    for kid, (sign, jwk) in strangers.items():
        embedded: dict[str, dict[str, Any]] = {
            "jwk": {"jwk": {**jwk, "kid": kid}},
            "jku": {"jku": "http://127.0.0.1:9/jwks.json"},
            "x5u": {"x5u": "http://127.0.0.1:9/x.pem"},
            "x5c": {"x5c": [part(b"certificate").decode()]},
            "nothing": {},
        }
        for name, extra in embedded.items():
            header = {"alg": ALGORITHMS[kid], "kid": kid, **extra}
            yield f"{name} of a stranger's {kid}", token(header, issuer.claims(), sign), "signature"
            del header["kid"]
            yield (
                f"{name} of a stranger's {kid}, no kid",
                token(header, issuer.claims(), sign),
                "algorithm",
            )


def signatures(issuer: TokenIssuer) -> Cases:
    """Signatures that are none, of somebody else, or of something else."""
    header, sign = {"alg": "ES256", "kid": "ec"}, issuer.sign("ec")
    n = P256_ORDER.to_bytes(32, "big")

    def der(signed: bytes) -> bytes:
        raw = sign(signed)
        return encode_dss_signature(
            int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        )

    def big_s(signed: bytes) -> bytes:
        raw = issuer.ed.sign(signed)
        s = int.from_bytes(raw[32:], "little") + ED25519_ORDER
        return raw[:32] + s.to_bytes(32, "little")

    broken: dict[str, Sign] = {
        "r and s are 0": lambda _: bytes(64),
        "r is 0": lambda signed: bytes(32) + sign(signed)[32:],
        "s is 0": lambda signed: sign(signed)[:32] + bytes(32),
        "r and s are the order": lambda _: n + n,
        "s is the order": lambda signed: sign(signed)[:32] + n,
        "r and s are 1": lambda _: (b"\0" * 31 + b"\1") * 2,
        "all ones": lambda _: b"\xff" * 64,
        "DER": der,
        "r and s swapped": lambda signed: sign(signed)[32:] + sign(signed)[:32],
        "cut": lambda signed: sign(signed)[:63],
        "longer": lambda signed: sign(signed) + b"\0",
        "zero before": lambda signed: b"\0" + sign(signed),
        "twice": lambda signed: sign(signed) * 2,
        "of the header alone": lambda signed: sign(signed.split(b".")[0]),
        "of the claims alone": lambda signed: sign(signed.split(b".")[1]),
        "of nothing": lambda _: sign(b""),
        "one byte": lambda _: b"\0",
    }
    for bit in (0, 1, 255, 256, 300, 511):
        broken[f"bit {bit} flipped"] = lambda signed, bit=bit: _flipped(sign(signed), bit)  # type: ignore[misc]
    for name, made in broken.items():
        yield f"ec: {name}", token(header, issuer.claims(), made), "signature"
    for kid in ("rsa", "ed"):
        own, head = issuer.sign(kid), {"alg": ALGORITHMS[kid], "kid": kid}
        others: dict[str, Sign] = {
            "zeros": lambda signed, own=own: bytes(len(own(signed))),  # type: ignore[misc]
            "cut": lambda signed, own=own: own(signed)[:-1],  # type: ignore[misc]
            "longer": lambda signed, own=own: own(signed) + b"\0",  # type: ignore[misc]
            "zero before": lambda signed, own=own: b"\0" + own(signed),  # type: ignore[misc]
            "of nothing": lambda _, own=own: own(b""),  # type: ignore[misc]
            "flipped": lambda signed, own=own: _flipped(own(signed), 9),  # type: ignore[misc]
        }
        for name, made in others.items():
            yield f"{kid}: {name}", token(head, issuer.claims(), made), "signature"
    yield (
        "ed: s beyond the order",
        token({"alg": "EdDSA", "kid": "ed"}, issuer.claims(), big_s),
        "signature",
    )
    sha1 = token({"alg": "RS256", "kid": "rsa"}, issuer.claims(), _rsa_sha1(issuer))
    yield "rsa: over SHA-1", sha1, "signature"


def _rsa_sha1(issuer: TokenIssuer) -> Sign:
    return lambda signed: issuer.rsa.sign(signed, padding.PKCS1v15(), hashes.SHA1())


def _flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 0x80 >> (bit % 8)
    return bytes(changed)


def secrets(issuer: TokenIssuer) -> Cases:
    """The old secret, nearly."""
    secret = issuer.secret.encode()
    wrong = {
        "empty": b"", "cut": secret[:-1], "with a newline": secret + b"\n", "upper case": secret.upper(),
        "decoded": base64.b64decode(secret), "encoded": base64.b64encode(secret), "secret": b"secret",
        "Supabase's example": b"super-secret-jwt-token-with-at-least-32-characters-long", "null": b"null", "undefined": b"undefined",
    }  # fmt: skip
    for name, key in wrong.items():
        yield name, token({"alg": "HS256"}, issuer.claims(), hs(key)), "signature"
    for name, made in {
        "half of the tag": lambda signed: hs(secret)(signed)[:16],
        "a longer tag": lambda signed: hs(secret)(signed) + b"\0",
        "SHA-512 named SHA-256": hs(secret, hashes.SHA512()),
        "the tag in hex": lambda signed: hs(secret)(signed).hex().encode(),
        "zeros": lambda _: bytes(32),
    }.items():
        yield name, token({"alg": "HS256"}, issuer.claims(), made), "signature"


def mixed(issuer: TokenIssuer) -> Cases:
    """Parts of good tokens that do not belong together."""
    one, two = (
        issuer.mint().split(b"."),
        issuer.mint(app_metadata={"app_role": "admin"}).split(b"."),
    )
    yield "another's claims", b".".join((one[0], two[1], one[2])), "signature"
    yield "another's signature", b".".join((one[0], one[1], two[2])), "signature"
    yield (
        "another's header",
        b".".join((issuer.mint(header={"x": 1}).split(b".")[0], *one[1:])),
        "signature",
    )
    yield "header and claims swapped", b".".join((one[1], one[0], one[2])), "header"
    yield "signature in front", b".".join((one[2], one[0], one[1])), "json"
