"""Reading a token: what `tests/unit/test_identity.py` cannot see from outside."""

import pytest

from benchmarks.token_issuer import TokenIssuer
from runtime.jws import DEEPEST_JSON, LARGEST_TOKEN, TokenRefused, read_jws, too_deep

pytestmark = pytest.mark.unit

ISSUER = TokenIssuer("https://ref.supabase.example/auth/v1")


def test_a_token_in_its_parts() -> None:
    text = ISSUER.mint(kid="ed", jti="j-1")
    read = read_jws(text)
    assert (read.algorithm, read.kid, read.claims["jti"]) == ("EdDSA", "ed", "j-1")
    assert text.startswith(read.signed + b".")
    ISSUER.ed.public_key().verify(read.signature, read.signed)


def test_the_size_is_looked_at_before_anything_else() -> None:
    with pytest.raises(TokenRefused) as refused:
        read_jws(b"." * (LARGEST_TOKEN + 1))
    assert refused.value.reason == "size"
    with pytest.raises(TokenRefused) as refused:
        read_jws(b"." * LARGEST_TOKEN)
    assert refused.value.reason == "form"


@pytest.mark.parametrize(
    ("text", "deep"),
    [
        ("[" * DEEPEST_JSON + "]" * DEEPEST_JSON, False),
        ("[" * (DEEPEST_JSON + 1) + "]" * (DEEPEST_JSON + 1), True),
        ('{"a":' * (DEEPEST_JSON + 1) + "1" + "}" * (DEEPEST_JSON + 1), True),
        ("[]" * 1000, False),
        ('["' + "[" * 1000 + '"]', False),
        ('["\\"' + "[" * 1000 + '"]', False),
        ('["\\\\",' + "[" * 40, True),
        ('["\\\\\\"' + "[" * 40 + '"]', False),
        ("[" * 100_000, True),
    ],
    ids=lambda value: str(value)[:20] + str(len(str(value))),
)
def test_depth_is_counted_outside_of_texts(text: str, deep: bool) -> None:
    assert too_deep(text.encode()) is deep
