"""Which tokens are users, which are refused, and what is remembered of both."""

import json
import time
from dataclasses import replace
from typing import Any

import jwt
import pytest

from benchmarks.bad_tokens import bad_tokens, unknown_kids
from benchmarks.token_issuer import TokenIssuer, hs, token
from runtime.identity import Identity, TokenRefused, TooManyTokens, Verifier, row_claims
from runtime.internal_token import InternalTokens, NotTheGateway
from runtime.jwks import KeySet, KeysUnavailable
from runtime.revocations import Revocations

pytestmark = pytest.mark.unit

ISSUER = TokenIssuer("https://ref.supabase.example/auth/v1")


class Clock:
    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Served:
    """The issuer's key set as it is served; counts how often it is asked for."""

    def __init__(self, document: object = None) -> None:
        self.document = document or ISSUER.key_set()
        self.asked = 0

    async def __call__(self) -> bytes:
        self.asked += 1
        if isinstance(self.document, Exception):
            raise self.document
        return json.dumps(self.document).encode()


class List:
    """Revocations as a feed holds them."""

    def __init__(self) -> None:
        self.current = Revocations()


class Judged:
    """Counts the tokens whose signature was checked: what `derive` is called for."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, identity: Identity, token: bytes) -> Identity:
        self.count += 1
        return identity


def verifier(served: Served | None = None, **options: Any) -> Verifier[Identity]:
    keys = KeySet(served or Served(), clock=options.pop("keys_clock", time.monotonic))
    usual = {"derive": Judged(), "hs256_secret": ISSUER.secret}
    return Verifier(issuer=ISSUER.issuer, keys=keys, **{**usual, **options})


async def refused(subject: Verifier[Identity], text: bytes) -> str:
    """The reason."""
    with pytest.raises(TokenRefused) as raised:
        await subject.verify(text)
    return raised.value.reason


# --- users


@pytest.mark.parametrize("kid", ["ec", "rsa", "ed", None])
async def test_users_of_every_kind_of_key(kid: str | None) -> None:
    metadata = {
        "app_role": "clinician",
        "banyan_roles": ["operator"],
        "banyan_cohorts": ["testers"],
    }
    more: dict[str, Any] = {"app_metadata": metadata, "session_id": "s-1", "jti": "j-1"}
    text = ISSUER.mint_hs256(**more) if kid is None else ISSUER.mint(kid=kid, **more)
    identity = await verifier().verify(text)
    assert identity.sub == ISSUER.sub
    assert identity.app_role == "clinician"
    assert identity.staff
    assert identity.operator_roles == {"operator"}
    assert identity.cohorts == {"testers"}
    assert (identity.session_id, identity.jti) == ("s-1", "j-1")
    assert not identity.is_anonymous


async def test_what_is_allowed() -> None:
    now = int(time.time())
    for changed in (
        {"aud": ["x", "authenticated"]},
        {"iat": ...},
        {"session_id": ...},
        {"nbf": 0},
        {"nbf": now + 20},
        {"iat": now + 20},
        {"exp": now - 20},
        {"iat": now, "exp": now + 24 * 3600},
        {"amr": [[[[["deep, and not too deep"]]]]]},
        {"user_metadata": {"text": '[[[[["]' * 40}},
    ):
        assert (await verifier().verify(ISSUER.mint(**changed))).sub == ISSUER.sub, changed


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "cty"])
async def test_keys_that_come_with_a_token_are_ignored(name: str) -> None:
    served = Served()
    text = ISSUER.mint(header={name: "https://evil.example/keys"})
    assert (await verifier(served).verify(text)).sub == ISSUER.sub
    assert served.asked == 1


async def test_the_old_kind_of_token_may_name_a_key_that_is_not_in_the_set() -> None:
    served = Served()
    text = ISSUER.mint_hs256(header={"kid": "old"})
    assert (await verifier(served).verify(text)).sub == ISSUER.sub
    assert served.asked == 0


async def test_what_we_take_an_ordinary_reader_takes() -> None:
    """The signature is checked by parts of PyJWT; here the whole of it agrees."""
    for kid, key in (("ec", ISSUER.ec), ("rsa", ISSUER.rsa), ("ed", ISSUER.ed)):
        text = ISSUER.mint(kid=kid)
        algorithms = ["ES256", "RS256", "EdDSA"]
        theirs = jwt.decode(text, key.public_key(), algorithms=algorithms, audience="authenticated")
        assert (await verifier().verify(text)).sub == theirs["sub"]


@pytest.mark.parametrize(
    ("claim", "anonymous"), [(..., False), (False, False), (True, True), ("", True)]
)
async def test_users_without_an_account_are_told_apart(claim: Any, anonymous: bool) -> None:
    identity = await verifier().verify(ISSUER.mint(is_anonymous=claim))
    assert identity.is_anonymous is anonymous


async def test_rights_come_from_app_metadata_alone() -> None:
    for metadata in (
        ...,
        None,
        "admin",
        {"app_role": ["admin"]},
        {"banyan_roles": "operator"},
        {"app_role": "a\0"},
    ):
        text = ISSUER.mint(app_metadata=metadata, user_metadata={"app_role": "admin"})
        identity = await verifier().verify(text)
        assert (identity.app_role, identity.operator_roles, identity.staff) == (
            "",
            frozenset(),
            False,
        )


# --- bad tokens


@pytest.mark.parametrize("secret", [ISSUER.secret, None], ids=["with the old secret", "without"])
async def test_no_bad_token_is_taken_and_none_causes_a_fetch(secret: str | None) -> None:
    served = Served()
    subject = verifier(served, hs256_secret=secret, bad_signatures_per_second=10_000)
    await subject.verify(ISSUER.mint())
    cases = bad_tokens(ISSUER)
    assert len({case.token for case in cases}) >= 300
    wrong = []
    for case in cases:
        for _ in range(2):
            try:
                await subject.verify(case.token)
            except TokenRefused as error:
                # Without the secret, HS256 is refused before anything else about it is looked at.
                if secret is not None and error.reason != case.reason:
                    wrong.append(f"{case.name}: {error.reason}, not {case.reason}")
            else:
                wrong.append(f"{case.name}: taken")
    assert wrong == []
    assert served.asked == 1


async def test_no_changed_byte_goes_unseen() -> None:
    subject = verifier(bad_signatures_per_second=100_000)
    good = ISSUER.mint()
    await subject.verify(good)
    for place in range(len(good)):
        for bit in (1, 2, 32):
            changed = bytearray(good)
            changed[place] ^= bit
            await refused(subject, bytes(changed))


async def test_unknown_keys_cause_one_fetch_per_cooldown() -> None:
    served, clock = Served(), Clock()
    subject = verifier(served, keys_clock=clock)
    await subject.verify(ISSUER.mint())
    for number in range(1, 4):
        clock.now += 10
        for text in unknown_kids(ISSUER):
            assert await refused(subject, text) == "unknown_key"
        assert served.asked == 1 + number


async def test_an_expired_token_of_an_unknown_key_causes_no_fetch() -> None:
    served, clock = Served(), Clock()
    subject = verifier(served, keys_clock=clock)
    await subject.verify(ISSUER.mint())
    clock.now += 60
    text = ISSUER.mint(header={"kid": "other"}, exp=int(time.time()) - 60)
    assert await refused(subject, text) == "expired"
    assert served.asked == 1


async def test_without_keys_nobody_is_judged() -> None:
    subject = verifier(Served(OSError()))
    with pytest.raises(KeysUnavailable):
        await subject.verify(ISSUER.mint())


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "short",
        "-----BEGIN PUBLIC KEY-----\n" + "A" * 40,
        "ssh-ed25519 " + "A" * 40,
        '{"kty": "EC"}' + " " * 40,
    ],
)
def test_a_secret_that_is_none_is_not_taken(secret: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        verifier(hs256_secret=secret)


# --- what is remembered of good tokens


async def test_a_remembered_token_is_answered_at_once_and_judged_no_more() -> None:
    judged = Judged()
    subject = verifier(derive=judged)
    text = ISSUER.mint()
    assert subject.remembered(text) is None
    made = await subject.verify(text)
    assert subject.remembered(bytes(bytearray(text))) is made
    assert await subject.verify(text) is made
    assert judged.count == 1


async def test_a_remembered_token_expires_all_the_same() -> None:
    clock = Clock(time.time())
    subject = verifier(clock=clock)
    text = ISSUER.mint()
    await subject.verify(text)
    clock.now += 3600 + 29
    assert subject.remembered(text) is not None
    clock.now += 2
    assert subject.remembered(text) is None
    assert await refused(subject, text) == "expired"


async def test_a_remembered_token_is_not_good_before_its_time() -> None:
    """As when a clock that was ahead is set right."""
    clock = Clock(time.time())
    subject = verifier(clock=clock)
    text = ISSUER.mint(nbf=int(clock.now))
    await subject.verify(text)
    clock.now -= 31
    assert subject.remembered(text) is None
    assert await refused(subject, text) == "early"


async def test_another_text_of_the_same_claims_is_another_token() -> None:
    subject = verifier()
    text = ISSUER.mint()
    await subject.verify(text)
    assert subject.remembered(text + b"==") is None
    assert await refused(subject, text + b"==") == "encoding"


async def test_remembered_tokens_are_bounded_and_those_in_use_stay() -> None:
    subject = verifier(remembered=10)
    used = ISSUER.mint_hs256(jti="used")
    await subject.verify(used)
    for number in range(100):
        await subject.verify(ISSUER.mint_hs256(jti=str(number)))
        assert subject.remembered(used) is not None
        assert subject.size <= 20


async def test_the_same_keys_again_change_nothing() -> None:
    served, clock, judged = Served(), Clock(), Judged()
    subject = verifier(served, keys_clock=clock, derive=judged)
    text = ISSUER.mint()
    await subject.verify(text)
    clock.now += 400
    await refused(subject, unknown_kids(ISSUER)[0])
    assert served.asked == 2
    assert subject.remembered(text) is not None
    assert judged.count == 1


@pytest.mark.parametrize("change", ["gone", "replaced"])
async def test_with_its_key_a_remembered_token_goes(change: str) -> None:
    served, clock, judged = Served(), Clock(), Judged()
    subject = verifier(served, keys_clock=clock, derive=judged)
    ec, rsa = ISSUER.mint(), ISSUER.mint(kid="rsa")
    for text in (ec, rsa):
        await subject.verify(text)
    other = TokenIssuer(ISSUER.issuer)
    keys = ISSUER.key_set()["keys"]
    served.document = {
        "keys": [*(other.key_set()["keys"][:1] if change == "replaced" else []), *keys[1:]]
    }
    clock.now += 11
    await refused(subject, unknown_kids(ISSUER)[0])
    assert subject.remembered(ec) is None
    assert await refused(subject, ec) == ("signature" if change == "replaced" else "unknown_key")
    assert subject.remembered(rsa) is not None, "its key is still there"
    assert judged.count == 2


async def test_a_rotated_key_is_accepted_with_the_one_fetch_that_its_first_token_asks_for() -> None:
    served, clock = Served(), Clock()
    subject = verifier(served, keys_clock=clock)
    await subject.verify(ISSUER.mint())
    served.document = ISSUER.key_set(ec_kid="new")
    text = ISSUER.mint(header={"kid": "new"})
    assert await refused(subject, text) == "unknown_key"
    clock.now += 10
    assert (await subject.verify(text)).sub == ISSUER.sub
    assert served.asked == 2


async def test_remembered_tokens_work_for_a_day_without_the_issuer_and_no_longer() -> None:
    served, clock, wall = Served(), Clock(), Clock(time.time())
    subject = verifier(served, keys_clock=clock, clock=wall)
    text = ISSUER.mint(exp=int(wall.now) + 24 * 3600)
    await subject.verify(text)
    served.document = OSError()
    for _ in range(23):
        clock.now += 3600
        wall.now += 3600
        assert subject.remembered(text) is not None
        new = ISSUER.mint(exp=int(wall.now) + 60, iat=...)
        assert (await subject.verify(new)).sub == ISSUER.sub
    clock.now += 3601
    assert subject.remembered(text) is not None, "not yet looked at again"
    wall.now += 61
    assert subject.remembered(text) is None
    with pytest.raises(KeysUnavailable):
        await subject.verify(text)


# --- revocation


@pytest.mark.parametrize("kind", ["subs", "sessions", "jtis"])
async def test_who_is_revoked_is_out_at_once_and_in_again_when_it_is_lifted(kind: str) -> None:
    revoked, judged = List(), Judged()
    subject = verifier(revoked=revoked, derive=judged)
    text = ISSUER.mint(session_id="session", jti="token")
    other = ISSUER.mint(session_id="other", jti="other", sub="6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
    for one in (text, other):
        await subject.verify(one)
    value = {"subs": ISSUER.sub, "sessions": "session", "jtis": "token"}[kind]
    changed: dict[str, Any] = {kind: frozenset({value})}
    revoked.current = replace(revoked.current, version=1, **changed)
    assert subject.remembered(text) is None
    assert await refused(subject, text) == "revoked"
    again = ISSUER.mint(session_id="session", jti="token", iat=int(time.time()) - 1)
    assert await refused(subject, again) == "revoked", "another token of the same claims"
    assert subject.remembered(other) is not None
    assert judged.count == 2
    revoked.current = Revocations(version=2)
    assert (await subject.verify(text)).sub == ISSUER.sub


async def test_a_token_without_a_session_is_not_revoked_with_one() -> None:
    revoked = List()
    revoked.current = Revocations(sessions=frozenset({"a"}), jtis=frozenset({"b"}))
    subject = verifier(revoked=revoked)
    assert (await subject.verify(ISSUER.mint(session_id=...))).session_id == ""


# --- floods


def forged(number: int = 0) -> bytes:
    return token({"alg": "HS256"}, ISSUER.claims(jti=str(number)), hs(b"x" * 32))


async def test_bad_signatures_beyond_the_allowance_are_not_even_checked() -> None:
    clock = Clock(time.time())
    subject = verifier(clock=clock, bad_signatures_per_second=3)
    text = ISSUER.mint()
    await subject.verify(text)
    for number in range(3):
        assert await refused(subject, forged(number)) == "signature"
    for unseen in (forged(4), ISSUER.mint()):
        with pytest.raises(TooManyTokens):
            await subject.verify(unseen)
    assert subject.remembered(text) is not None
    assert await refused(subject, b"a.b.c") == "encoding", (
        "what needs no signature is refused as ever"
    )
    clock.now += 0.4
    assert await refused(subject, forged(5)) == "signature"
    with pytest.raises(TooManyTokens):
        await subject.verify(forged(6))
    clock.now += 3600
    for number in range(7, 10):
        assert await refused(subject, forged(number)) == "signature"
    with pytest.raises(TooManyTokens):
        await subject.verify(forged(10))


async def test_good_tokens_are_not_counted_however_many_come() -> None:
    clock = Clock(time.time())
    subject = verifier(clock=clock, bad_signatures_per_second=1)
    for number in range(50):
        await subject.verify(ISSUER.mint_hs256(jti=str(number)))


async def test_the_same_bad_token_again_costs_no_signature() -> None:
    clock = Clock(time.time())
    subject = verifier(clock=clock, bad_signatures_per_second=1)
    text = forged()
    for _ in range(100):
        assert await refused(subject, text) == "signature"
    clock.now += 5
    assert await refused(subject, text) == "signature"
    with pytest.raises(TooManyTokens):
        await subject.verify(forged(1))


async def test_refused_tokens_are_remembered_in_bounds() -> None:
    subject = verifier(bad_signatures_per_second=10_000)
    for number in range(1_200):
        await refused(subject, forged(number))
    assert len(subject._refused) == 1_000


# --- rows


def test_rows_see_sub_role_and_partner_and_nothing_else() -> None:
    text = row_claims(Identity(sub=ISSUER.sub, app_role='p"x', partner_id="p", session_id="s"))
    assert json.loads(text) == {"sub": ISSUER.sub, "app_role": 'p"x', "partner_id": "p"}


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
