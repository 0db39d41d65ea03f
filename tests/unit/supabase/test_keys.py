"""Keys of the stand-in's project: kept, minted with, verified against."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest

from sandbox.supabase.keys import LEEWAY_SECONDS, Keyring, TokenError, User

pytestmark = pytest.mark.unit

USER = User(
    id="6ba7b810-9dad-41d1-80b4-00c04fd430c8",
    email="a@example.org",
    app_metadata={"app_role": "patient"},
)
BASE = "http://127.0.0.1:8420"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Keyring:
    return Keyring.open(tmp_path / "state", BASE, clock=clock)


def test_keys_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    first = Keyring.open(tmp_path, BASE)
    second = Keyring.open(tmp_path, BASE)
    assert first.jwks() == second.jwks()
    assert first.publishable == second.publishable
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_a_configured_publishable_key_takes_its_place(tmp_path: Path) -> None:
    assert Keyring.open(tmp_path, BASE, publishable="sb_publishable_mine").publishable == (
        "sb_publishable_mine"
    )


def test_a_token_has_the_claims_of_supabase_auth(keys: Keyring, clock: Clock) -> None:
    claims = keys.verify(keys.mint(USER, session_id="s"))
    assert claims["iss"] == f"{BASE}/auth/v1"
    assert (claims["aud"], claims["role"], claims["aal"]) == (
        "authenticated",
        "authenticated",
        "aal1",
    )
    assert (claims["sub"], claims["email"], claims["session_id"]) == (USER.id, USER.email, "s")
    assert claims["app_metadata"] == {"app_role": "patient"}
    assert claims["is_anonymous"] is False
    assert claims["exp"] - claims["iat"] == 3600
    assert keys.verify(keys.mint(USER, seconds=12 * 3600))["exp"] == int(clock.now) + 12 * 3600


def test_the_key_set_verifies_it_and_holds_no_secret(keys: Keyring) -> None:
    (key,) = keys.jwks()["keys"]
    assert "d" not in key
    token = keys.mint(USER, claims={"exp": 4_000_000_000, "iat": 1})
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": key["kid"], "typ": "JWT"}
    found = jwt.decode(token, jwt.PyJWK(key), algorithms=["ES256"], audience="authenticated")
    assert found["sub"] == USER.id


def test_times_have_thirty_seconds_of_grace(keys: Keyring, clock: Clock) -> None:
    token = keys.mint(USER, seconds=60)
    clock.now += 60 + LEEWAY_SECONDS
    keys.verify(token)
    clock.now += 1
    with pytest.raises(TokenError) as expired:  # although it was verified before
        keys.verify(token)
    assert expired.value.code == "PGRST303"


@pytest.mark.parametrize("claims", [{"exp": "x"}, {"exp": True}, {"nbf": []}, {"iat": None}])
def test_times_are_numbers(keys: Keyring, claims: dict[str, Any]) -> None:
    with pytest.raises(TokenError) as refused:
        keys.verify(keys.mint(USER, claims=claims))
    assert refused.value.code == "PGRST303"


def test_the_old_keys_are_tokens_of_their_roles(keys: Keyring) -> None:
    assert keys.verify(keys.anon)["role"] == "anon"
    assert keys.verify(keys.service_role)["role"] == "service_role"


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_forgeries(keys: Keyring, tmp_path: Path) -> None:
    other = Keyring.open(tmp_path / "other", BASE)
    public = keys.jwks()["keys"][0]["x"]
    none = f"{part({'alg': 'none', 'kid': keys.kid})}.{part({'role': 'service_role'})}."
    header, payload, signature = keys.mint(USER).split(".")
    for forged in (
        "",
        "x",
        "a.b.c",
        "a.b.c.d.e",
        none,
        other.mint(USER),
        other.service_role,
        jwt.encode({"role": "service_role"}, public, algorithm="HS256", headers={"kid": keys.kid}),
        f"{header}.{part({'role': 'service_role'})}.{signature}",
        f"{header}.{payload}.",
    ):
        with pytest.raises(TokenError) as refused:
            keys.verify(forged)
        assert refused.value.code == "PGRST301"
