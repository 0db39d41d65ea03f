"""A laboratory's signature: everything that is not exactly right is one and the same refusal."""

import hashlib
import hmac

import pytest

from routes.refused import Unauthenticated
from runtime.vendorkeys import VendorKeys
from services.diagnostics.signature import signer

pytestmark = pytest.mark.unit

SECRET, BODY, NOW = b"s" * 32, b'{"vendor":"acme"}', 1_700_000_000
KEYS = VendorKeys(secrets=(("acme", SECRET),))


def v1(time: str, body: bytes = BODY, secret: bytes = SECRET) -> str:
    return hmac.new(secret, f"{time}.".encode() + body, hashlib.sha256).hexdigest()


GOOD = v1(str(NOW))


@pytest.mark.parametrize("now", [NOW, NOW - 300, NOW + 300])
@pytest.mark.parametrize(
    "header",
    [f"t={NOW},v1={GOOD}", f"v1={GOOD}, t={NOW}", f"t={NOW},v0=x,v1={'0' * 64},v1={GOOD}"],
)
def test_a_right_one_names_its_vendor(header: str, now: int):
    assert signer([header.encode()], BODY, now, KEYS) == "acme"


@pytest.mark.parametrize(
    "header",
    [
        "",
        GOOD,
        f"t={NOW}",
        f"v1={GOOD}",
        f"t={NOW},v1={GOOD.upper()}",
        f"t={NOW},v1={GOOD[:-1]}",
        f"t={NOW},v1={GOOD[:-2]}00",
        f"t={NOW},t={NOW},v1={GOOD}",
        f"t={NOW + 1},v1={GOOD}",
        f"t=+{NOW},v1={GOOD}",
        f"t=-{NOW},v1={v1(f'-{NOW}')}",
        f"t={'9' * 5000},v1={GOOD}",
        f"t={NOW - 301},v1={v1(str(NOW - 301))}",
        f"t={NOW + 301},v1={v1(str(NOW + 301))}",
        f"t={NOW},v1={v1(str(NOW), secret=b'x' * 32)}",
        f"t={NOW},v1={v1(str(NOW), body=b'')}",
        f"t={NOW},v1={GOOD}" + ",v1=" * 8,
        f"t={NOW},v1=ł{GOOD}",
    ],
)
def test_a_wrong_one_is_refused(header: str):
    with pytest.raises(Unauthenticated):
        signer([header.encode()], BODY, NOW, KEYS)


def test_none_and_two_are_refused():
    for headers in ([], [f"t={NOW},v1={GOOD}".encode()] * 2):
        with pytest.raises(Unauthenticated):
            signer(headers, BODY, NOW, KEYS)
