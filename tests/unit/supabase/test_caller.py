"""The API key, the bearer token, and the role that follows."""

import json
from pathlib import Path

import pytest

from sandbox.supabase.caller import identify, refuse_api_key
from sandbox.supabase.errors import RestError
from sandbox.supabase.keys import Keyring, User

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    folder: Path = tmp_path_factory.mktemp("keys")
    return Keyring.open(folder, "http://127.0.0.1:1")


def test_keys_alone(keys: Keyring) -> None:
    expected = {
        keys.publishable: "anon",
        keys.anon: "anon",
        keys.secret: "service_role",
        keys.service_role: "service_role",
    }
    for key, role in expected.items():
        assert identify(None, key, keys).role == role
        assert identify(f"Bearer {key}", key, keys).role == role
        assert refuse_api_key(key, "python", keys) is None


def test_a_users_token_wins_over_the_key(keys: Keyring) -> None:
    """Also over a secret one: the service power is silently gone."""
    token = keys.mint(User(id="u", email="e"))
    for key in (keys.publishable, keys.secret):
        caller = identify(f"Bearer {token}", key, keys)
        assert (caller.role, caller.claims["sub"], caller.anonymous) == (
            "authenticated",
            "u",
            False,
        )


def test_a_token_without_role_is_anonymous(keys: Keyring) -> None:
    token = keys.mint(User(id="u", email="e"), claims={"role": None})
    caller = identify(f"bearer {token}", keys.publishable, keys)
    assert caller.anonymous
    assert json.loads(caller.claims_json())["role"] == "anon"


def test_a_secret_key_as_bearer_only_when_it_is_the_api_key(keys: Keyring) -> None:
    with pytest.raises(RestError) as refused:
        identify(f"Bearer {keys.secret}", keys.publishable, keys)
    assert (refused.value.status, refused.value.code) == (401, "PGRST301")
    assert "invalid_token" in refused.value.headers["WWW-Authenticate"]


@pytest.mark.parametrize("key", [None, "", "nonsense", "sb_secret_x"])
def test_bad_keys(keys: Keyring, key: str | None) -> None:
    response = refuse_api_key(key, "python", keys)
    assert response is not None
    assert response.status_code == 401


def test_a_secret_key_in_a_browser(keys: Keyring) -> None:
    assert refuse_api_key(keys.secret, "Mozilla/5.0", keys) is not None
    assert refuse_api_key(keys.publishable, "Mozilla/5.0", keys) is None
