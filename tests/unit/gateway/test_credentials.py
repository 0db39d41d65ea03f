"""What the two headers say together: a user, nobody, or a key that no client may have."""

import pytest

from benchmarks.token_issuer import TokenIssuer, hs, token
from gateway.credentials import SERVICE_KEY, user_token
from runtime.jws import TokenRefused, read_jws

pytestmark = pytest.mark.unit

USER = TokenIssuer("https://ref.supabase.example/auth/v1").mint()
PUBLISHABLE = b"sb_publishable_0123456789abcdef"
SECRET = b"sb_secret_0123456789abcdef"


def project_key(role: str) -> bytes:
    claims = {"iss": "supabase", "ref": "ref", "role": role, "iat": 1, "exp": 2_000_000_000}
    return token({"alg": "HS256", "typ": "JWT"}, claims, hs(b"s" * 32))


ANON, SERVICE = project_key("anon"), project_key("service_role")


@pytest.mark.parametrize(
    "apikey", [None, PUBLISHABLE, ANON, b"anything", b"", b"a.b.c", b"a.e30.c", b"a.W10.c"]
)
@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER", b"bEaReR"])
def test_a_users_token(scheme: bytes, apikey: bytes | None) -> None:
    assert user_token(scheme + b" " + USER, apikey) == USER


@pytest.mark.parametrize(
    ("authorization", "apikey"),
    [
        (None, None),
        (None, PUBLISHABLE),
        (None, ANON),
        (b"Bearer " + PUBLISHABLE, PUBLISHABLE),
        (b"Bearer " + PUBLISHABLE, None),
        (b"Bearer sb_publishable_another", PUBLISHABLE),
        (b"Bearer " + ANON, ANON),
        (b"bearer " + ANON, ANON),
        (b"Bearer anything", b"anything"),
    ],
)
def test_nobody_is_signed_in(authorization: bytes | None, apikey: bytes | None) -> None:
    assert user_token(authorization, apikey) is None


def test_the_anon_token_of_another_project_is_judged_like_any_token() -> None:
    assert user_token(b"Bearer " + ANON, PUBLISHABLE) == ANON


@pytest.mark.parametrize(
    ("authorization", "apikey"),
    [
        (None, SECRET),
        (None, SERVICE),
        (b"Bearer " + USER, SECRET),
        (b"Bearer " + USER, SERVICE),
        (b"Bearer " + SECRET, None),
        (b"Bearer " + SECRET, PUBLISHABLE),
        (b"Bearer " + SECRET, SECRET),
        (b"Bearer " + SERVICE, SERVICE),
        (b"Bearer  " + SECRET, None),
        (b"Basic " + SECRET, None),
        (SECRET, None),
        (b"Bearer x " + SECRET, None),
        (b"Bearer x" + SECRET, None),
        (None, b'"' + SECRET + b'"'),
        (None, b"Bearer " + SECRET),
        (None, SERVICE + b"=="),
    ],
)
def test_a_key_to_everything_is_refused_in_either_header(
    authorization: bytes | None, apikey: bytes | None
) -> None:
    for _ in range(2):
        with pytest.raises(TokenRefused) as refused:
            user_token(authorization, apikey)
        assert refused.value.reason == SERVICE_KEY


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (b"", "scheme"),
        (b"Bearer", "scheme"),
        (b"Basic dTpw", "scheme"),
        (b"Bearer\t" + USER, "scheme"),
        (b" Bearer " + USER, "scheme"),
        (b"Bearers " + USER, "scheme"),
        (USER, "scheme"),
        (b"Bearer ", "form"),
        (b"Bearer  " + USER, "form"),
        (b"Bearer x y", "form"),
        (b"Bearer x\ty", "form"),
        (b"Bearer sb_other_x", "form"),
    ],
)
def test_what_is_no_token_is_refused(authorization: bytes, reason: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        user_token(authorization, None)
    assert refused.value.reason == reason


def test_blanks_behind_a_token_are_left_for_whoever_reads_it() -> None:
    token = user_token(b"Bearer " + USER + b" x", None)
    assert token == USER + b" x"
    with pytest.raises(TokenRefused):
        read_jws(token)
