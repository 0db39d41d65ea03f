"""Which tokens are users, and which are refused."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from runtime.identity import Identity, TokenRefused, Verifier, row_claims
from runtime.internal_token import InternalTokens, NotTheGateway
from runtime.jwks import KeySet, KeysUnavailable, parse_key_set

pytestmark = pytest.mark.unit

ISSUER = "https://ref.supabase.example/auth/v1"
SUB = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
NOW = 1_800_000_000
SECRET = "s" * 40
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED = ed25519.Ed25519PrivateKey.generate()


def entry(kid: str, public: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {**public, "kid": kid, "use": "sig", **extra}


DOCUMENT = {
    "keys": [
        entry("ec", ECAlgorithm.to_jwk(EC.public_key(), as_dict=True), alg="ES256"),
        entry("rsa", RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True)),
        entry("ed", OKPAlgorithm.to_jwk(ED.public_key(), as_dict=True)),
    ]
}


def claims(**changed: Any) -> dict[str, Any]:
    base = {
        "iss": ISSUER,
        "aud": "authenticated",
        "sub": SUB,
        "role": "authenticated",
        "iat": int(time.time()),
        "exp": int(time.time()) + 3600,
        "session_id": "s-1",
        "app_metadata": {
            "app_role": "clinician",
            "banyan_roles": ["operator"],
            "banyan_cohorts": ["testers"],
        },
        "user_metadata": {"app_role": "admin"},
    }
    return {name: value for name, value in {**base, **changed}.items() if value is not ...}


def token(
    key: Any = EC,
    kid: str | None = "ec",
    alg: str = "ES256",
    headers: dict[str, Any] | None = None,
    **changed: Any,
) -> str:
    extra = {**({"kid": kid} if kid is not None else {}), **(headers or {})}
    return jwt.encode(claims(**changed), key, algorithm=alg, headers=extra)


class Issuer:
    """Serves a key set; counts how often it is asked."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self) -> bytes:
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def served(*changes: Any) -> bytes:
    return json.dumps(changes[0] if changes else DOCUMENT).encode()


def verifier(clock: Callable[[], float] = time.time, secret: str | None = SECRET) -> Verifier:
    return Verifier(issuer=ISSUER, keys=KeySet(Issuer(served())), hs256_secret=secret, clock=clock)


@pytest.mark.parametrize(
    ("key", "kid", "alg"),
    [(EC, "ec", "ES256"), (RSA, "rsa", "RS256"), (ED, "ed", "EdDSA"), (SECRET, None, "HS256")],
)
async def test_users_of_every_kind_of_key(key: Any, kid: str | None, alg: str) -> None:
    identity = await verifier().verify(token(key, kid, alg))
    assert identity.sub == SUB
    assert identity.app_role == "clinician"
    assert identity.staff
    assert identity.operator_roles == {"operator"}
    assert identity.cohorts == {"testers"}
    assert identity.session_id == "s-1"


@pytest.mark.parametrize("aud", ["authenticated", ["x", "authenticated"]])
async def test_the_audience_may_be_one_of_several(aud: Any) -> None:
    assert (await verifier().verify(token(aud=aud))).sub == SUB


BAD: dict[str, Callable[[], str]] = {
    "no token": lambda: "",
    "not a token": lambda: "a.b.c",
    "five parts": lambda: token() + ".x.y",
    "not ascii": lambda: token() + "é",
    "too long": lambda: token(padding="x" * 9000),
    "alg none": lambda: unsigned("none"),
    "alg nOnE": lambda: unsigned("nOnE"),
    "hs256 with the public key": lambda: confused(),
    "another algorithm than the key's": lambda: token(RSA, "ec", "RS256"),
    "rs512 with an rs256 key": lambda: token(RSA, "rsa", "RS512"),
    "another key": lambda: token(ec.generate_private_key(ec.SECP256R1())),
    "unknown kid": lambda: token(kid="other"),
    "no kid": lambda: token(kid=None),
    "long kid": lambda: token(kid="k" * 200),
    "crit": lambda: token(headers={"crit": ["x"], "x": 1}),
    "another issuer": lambda: token(iss=ISSUER + "/"),
    "no issuer": lambda: token(iss=...),
    "another audience": lambda: token(aud="anon"),
    "no audience": lambda: token(aud=...),
    "no expiry": lambda: token(exp=...),
    "expired": lambda: token(exp=int(time.time()) - 31, iat=int(time.time()) - 3600),
    "not yet valid": lambda: token(nbf=int(time.time()) + 60),
    "issued in the future": lambda: token(iat=int(time.time()) + 60),
    "too long a life": lambda: token(exp=int(time.time()) + 25 * 3600),
    "anon": lambda: token(role="anon"),
    "service role": lambda: token(role="service_role"),
    "no role": lambda: token(role=...),
    "no subject": lambda: token(sub=...),
    "a subject that is no uuid": lambda: token(sub="admin"),
    "an upper case subject": lambda: token(sub=SUB.upper()),
    "expiry as text": lambda: token(exp=str(int(time.time()) + 60)),
    "expiry as a fraction": lambda: token(exp=time.time() + 60.5),
    "cut signature": lambda: token()[:-4],
}


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(alg: str) -> str:
    return f"{part({'alg': alg, 'kid': 'ec'})}.{part(claims())}."


def confused() -> str:
    """HMAC with the public key as the secret."""
    pem = EC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part({'alg': 'HS256', 'kid': 'ec'})}.{part(claims())}"
    return f"{signed}.{part(hmac.new(pem, signed.encode(), hashlib.sha256).digest())}"


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("secret", [None, SECRET])
async def test_refused(name: str, secret: str | None) -> None:
    with pytest.raises(TokenRefused):
        await verifier(secret=secret).verify(BAD[name]())


async def test_rights_come_from_app_metadata_alone() -> None:
    for metadata in (..., None, "admin", {"app_role": ["admin"]}, {"banyan_roles": "operator"}):
        identity = await verifier().verify(token(app_metadata=metadata))
        assert (identity.app_role, identity.operator_roles, identity.staff) == (
            "",
            frozenset(),
            False,
        )


async def test_a_remembered_token_expires_all_the_same() -> None:
    now = [time.time()]
    subject = verifier(clock=lambda: now[0])
    text = token()
    await subject.verify(text)
    now[0] += 3600 + 29
    await subject.verify(text)
    now[0] += 2
    with pytest.raises(TokenRefused):
        await subject.verify(text)


async def test_remembered_tokens_are_bounded() -> None:
    subject = Verifier(issuer=ISSUER, keys=KeySet(Issuer(served())), remembered=3)
    for number in range(10):
        await subject.verify(token(jti=str(number)))
    assert len(subject._known) == 3


def test_rows_see_sub_role_and_partner_and_nothing_else() -> None:
    text = row_claims(Identity(sub=SUB, app_role='p"x', partner_id="p", session_id="s"))
    assert json.loads(text) == {"sub": SUB, "app_role": 'p"x', "partner_id": "p"}


# --- key sets


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_unknown_kids_cause_one_fetch_per_cooldown() -> None:
    issuer, clock = Issuer(served()), Clock()
    keys = KeySet(issuer, clock=clock)
    for number in range(1000):
        assert await keys.key(f"bogus-{number}") is None
    assert issuer.asked == 1
    clock.now = 10.0
    assert await keys.key("bogus") is None
    assert issuer.asked == 2
    assert await keys.key("ec") is not None
    assert issuer.asked == 2


async def test_the_last_good_set_survives_failures_for_a_day() -> None:
    for bad in (
        OSError(),
        b"<html>",
        b'{"keys":[]}',
        b"x" * 100_000,
        b'{"keys":[{"kty":"oct","kid":"ec","k":"AA"}]}',
    ):
        issuer, clock = Issuer(served(), bad), Clock()
        keys = KeySet(issuer, clock=clock)
        assert await keys.key("ec") is not None
        clock.now = 23 * 3600.0
        assert await keys.key("ec") is not None
        assert issuer.asked == 2
        clock.now = 25 * 3600.0
        with pytest.raises(KeysUnavailable):
            await keys.key("ec")


async def test_without_any_set_nothing_is_accepted() -> None:
    keys = KeySet(Issuer(OSError()))
    with pytest.raises(KeysUnavailable):
        await keys.key("ec")
    with pytest.raises(KeysUnavailable):
        await Verifier(issuer=ISSUER, keys=keys).verify(token())


async def test_a_rotated_key_replaces_the_old_one() -> None:
    rotated = {"keys": [entry("new", ECAlgorithm.to_jwk(EC.public_key(), as_dict=True))]}
    clock = Clock()
    keys = KeySet(Issuer(served(), served(rotated)), clock=clock)
    assert await keys.key("ec") is not None
    clock.now = 11.0
    assert await keys.key("new") is not None
    assert await keys.key("ec") is None


def test_keys_that_cannot_be_used_are_left_out() -> None:
    good = DOCUMENT["keys"][0]
    for bad in (
        {**good, "kid": "x" * 200},
        {**good, "use": "enc"},
        {**good, "alg": "HS256"},
        {**good, "x": "!!"},
        {**good, "crv": "P-521"},
        "text",
    ):
        assert set(parse_key_set(served({"keys": [bad, {**good, "kid": "ok"}]}))) == {"ok"}


# --- the gateway's own tokens


def test_the_gateway_proves_itself_to_one_service_for_a_minute() -> None:
    now = [1000.0 + time.time()]
    tokens = InternalTokens("k" * 32, clock=lambda: time.time())
    made = tokens.mint("intake")
    assert tokens.mint("intake") is made
    tokens.check(made.decode(), "intake")
    for bad, audience in (
        (made.decode(), "finance"),
        (None, "intake"),
        ("x", "intake"),
        (made.decode()[:-2], "intake"),
    ):
        with pytest.raises(NotTheGateway):
            tokens.check(bad, audience)
    with pytest.raises(NotTheGateway):
        InternalTokens("other" * 8).check(made.decode(), "intake")
    later = InternalTokens("k" * 32, clock=lambda: now[0] - 2000)
    with pytest.raises(NotTheGateway):
        tokens.check(later.mint("intake").decode(), "intake")


def test_a_long_lived_internal_token_is_not_the_gateways() -> None:
    now = int(time.time())
    text = jwt.encode(
        {"iss": "banyan-gateway", "aud": "intake", "iat": now, "exp": now + 3600},
        "k" * 32,
        algorithm="HS256",
    )
    with pytest.raises(NotTheGateway):
        InternalTokens("k" * 32).check(text, "intake")
