"""The setting of vendors' secrets, and who has signed a message."""

import base64
import hashlib
import hmac

import pytest

from runtime.vendorkeys import VendorKeysInvalid, read_vendor_keys

pytestmark = pytest.mark.unit


def secret(text: str) -> str:
    return base64.b64encode(text.encode().ljust(32, b"*")).decode()


def signed(text: str, message: bytes) -> bytes:
    return hmac.new(text.encode().ljust(32, b"*"), message, hashlib.sha256).digest()


def test_each_secret_of_a_vendor_signs_and_no_other_does():
    keys = read_vendor_keys(
        f"Łab & Co:{secret('new')}, Łab & Co:{secret('old')},a%2Cb%3A:{secret('x')}"
    )
    assert keys.signer(b"m", (signed("new", b"m"),)) == "Łab & Co"
    assert keys.signer(b"m", (b"no" * 16, signed("old", b"m"))) == "Łab & Co"
    assert keys.signer(b"m", (signed("x", b"m"),)) == "a,b:"
    assert keys.signer(b"m", (signed("y", b"m"),)) is None
    assert keys.signer(b"n", (signed("x", b"m"),)) is None
    assert keys.signer(b"m", ()) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acme",
        f":{secret('a')}",
        "acme:short",
        "acme:" + base64.b64encode(b"x" * 31).decode(),
        "acme:ł",
        f"acme:{secret('a')},",
        f"acme:{secret('a')},other:{secret('a')}",
    ],
)
def test_another_form_is_refused_without_being_repeated(text: str):
    with pytest.raises(VendorKeysInvalid) as refused:
        read_vendor_keys(text)
    assert secret("a") not in str(refused.value)


def test_secrets_are_in_no_repr():
    assert secret("a")[:20] not in repr(read_vendor_keys(f"acme:{secret('a')}"))
