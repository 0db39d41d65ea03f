"""What a setting with keys may be, and what is told of one that is wrong."""

import base64

import pytest

from runtime.keyring import KeysInvalid, UnknownKey, read_keyring
from tests.fakes.keys import key_setting, keyring

pytestmark = pytest.mark.unit

SECRET = "a-secret-that-nobody-may-see"


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_the_first_one_makes_what_is_new() -> None:
    keys = read_keyring(f" k2:{encoded(b'2' * 32)} , k1:{encoded(b'1' * 32)}")
    assert keys.newest == "k2"
    assert keys.newest_key == b"2" * 32
    assert keys.key("k1") == b"1" * 32


def test_a_lost_key_is_named() -> None:
    with pytest.raises(UnknownKey, match="k9") as lost:
        keyring("k2", "k1").key("k9")
    assert lost.value.key_id == "k9"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("", "key 1 has no id"),
        (encoded(b"x" * 32), "key 1 has no id"),
        (f":{encoded(b'x' * 32)}", "key 1 has no id"),
        (f"a b:{encoded(b'x' * 32)}", "key 1 has no id"),
        (f"{'k' * 33}:{encoded(b'x' * 32)}", "key 1 has no id"),
        (f"k1:{SECRET}", "key 1 is not 32 bytes"),
        (f"k1:{SECRET}ü", "key 1 is not 32 bytes"),
        (f"k1:{encoded(b'x' * 31)}", "key 1 is not 32 bytes"),
        (f"k1:{encoded(b'x' * 33)}", "key 1 is not 32 bytes"),
        (f"k1:{encoded(b'x' * 32)[:-1]}", "key 1 is not 32 bytes"),
        (f"k1:-{encoded(b'x' * 32)}", "key 1 is not 32 bytes"),
        (f"{key_setting('k1')},", "key 2 has no id"),
        (f"{key_setting('k1')},k1:{encoded(b'y' * 32)}", "key 2 has the id of another"),
        (f"{key_setting('k1')},k2{key_setting('k1')[2:]}", "key 2 is another one again"),
    ],
)
def test_what_is_wrong_is_told_without_values(setting: str, says: str) -> None:
    with pytest.raises(KeysInvalid, match=says) as invalid:
        read_keyring(setting)
    assert SECRET not in str(invalid.value)


def test_keys_are_in_no_repr() -> None:
    keys = read_keyring(f"k1:{encoded(SECRET.encode().ljust(32))}")
    assert SECRET not in repr(keys) + str(keys)
    assert "k1" in repr(keys)
