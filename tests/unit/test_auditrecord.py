"""What a record's hash is made of: everything, and nothing that could be read in two ways."""

import hashlib
import hmac
from dataclasses import replace

import pytest

from runtime.auditrecord import BEGINNING, Record, chained, fits

pytestmark = pytest.mark.unit

KEY = b"k" * 32
ENTRY = {
    "writer": "control",
    "n": 7,
    "at": "2026-11-29T19:40:00.000001",
    "action": "flags.ramp",
    "actor": "olga",
    "reason": "phase 1",
    "subject": '{"version": 2}',
    "key_id": "a1",
}
HASH = chained(KEY, BEGINNING, schema="control", **ENTRY)  # type: ignore[arg-type]
RECORD = Record(**ENTRY, previous=BEGINNING, hash=HASH)  # type: ignore[arg-type]


def test_it_is_hmac_of_the_hash_before_and_canonical_json() -> None:
    """Written out, so that no rebuild makes old chains unreadable."""
    canonical = (
        b'{"action":"flags.ramp","actor":"olga","at":"2026-11-29T19:40:00.000001","key_id":"a1","n":7,'
        b'"reason":"phase 1","schema":"control","subject":"{\\"version\\": 2}","writer":"control"}'
    )
    assert hmac.new(KEY, BEGINNING + canonical, hashlib.sha256).digest() == HASH
    assert fits(RECORD, KEY, schema="control")


@pytest.mark.parametrize("name", [*ENTRY, "previous", "hash"])
def test_every_member_counts(name: str) -> None:
    old = getattr(RECORD, name)
    other = old + 1 if isinstance(old, int) else old[::-1] + old[:1]
    altered = replace(RECORD, **{name: other})  # type: ignore[arg-type]
    assert not fits(altered, KEY, schema="control")


def test_so_do_schema_and_key() -> None:
    assert not fits(RECORD, KEY, schema="intake")
    assert not fits(RECORD, b"x" * 32, schema="control")
