"""Digest headers: the SHA-256 among what is there, or a refusal that names the header."""

import base64
import hashlib

import pytest

from routes.digest import read_sha256, write_sha256
from routes.refused import InvalidFields

pytestmark = pytest.mark.unit

DIGEST = hashlib.sha256(b"content").digest()
B64 = base64.b64encode(DIGEST).decode()


@pytest.mark.parametrize(
    "values",
    [
        [f"sha-256=:{B64}:"],
        [f"sha-512=:AAAA:, sha-256=:{B64}: "],
        ["md5=:AA==:", f"sha-256=:{B64}:"],
        [f"sha-256=:AAAA:,sha-256=:{B64}:"],
    ],
)
def test_a_digest_is_read(values: list[str]):
    assert read_sha256("repr-digest", [v.encode() for v in values]) == DIGEST


def test_what_is_written_is_read():
    assert read_sha256("repr-digest", [write_sha256(DIGEST).encode()]) == DIGEST


@pytest.mark.parametrize("values", [[], [""], ["sha-512=:AAAA:"], ["x-sha-256=:AAAA:"]])
def test_there_is_none(values: list[str]):
    assert read_sha256("repr-digest", [v.encode() for v in values]) is None


@pytest.mark.parametrize(
    "value",
    ["sha-256=", f"sha-256={B64}", "sha-256=:AAAA:", f"sha-256=:{B64[:-2]}:", "sha-256=:ł:"],
)
def test_another_form_is_refused(value: str):
    with pytest.raises(InvalidFields) as refused:
        read_sha256("content-digest", [value.encode()])
    assert [(e.field, e.code) for e in refused.value.errors] == [
        ("content-digest", "expected_sha_256")
    ]
