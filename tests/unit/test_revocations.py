"""The list of revocations: whom it covers, and what is no list."""

import json
from typing import Any

import pytest

from runtime.revocations import (
    LARGEST_DOCUMENT,
    Kind,
    Revocations,
    RevocationsInvalid,
    read_revocations,
    write_revocations,
)
from runtime.revocationstore import MOST

pytestmark = pytest.mark.unit

ENTRIES = [(Kind.SUB, "user"), (Kind.SESSION, "session"), (Kind.JTI, "token")]


def test_what_is_written_is_read() -> None:
    found = read_revocations(write_revocations(ENTRIES, version=7, store="a"))
    assert found == Revocations(
        store="a",
        version=7,
        subs=frozenset({"user"}),
        sessions=frozenset({"session"}),
        jtis=frozenset({"token"}),
    )
    assert found.size == 3


@pytest.mark.parametrize(
    ("claims", "covered"),
    [
        (("user", "x", "x"), True),
        (("x", "session", "x"), True),
        (("x", "x", "token"), True),
        (("x", "x", "x"), False),
        (("x", "", ""), False),
        (("session", "token", "user"), False),
        (("", "", ""), False),
    ],
)
def test_each_claim_is_looked_for_among_its_own(
    claims: tuple[str, str, str], covered: bool
) -> None:
    sub, session_id, jti = claims
    found = read_revocations(write_revocations(ENTRIES, version=1, store="a"))
    assert found.cover(sub=sub, session_id=session_id, jti=jti) is covered


def test_as_many_as_are_allowed_fit() -> None:
    entries = [(Kind.SESSION, f"{number:0100}") for number in range(MOST)]
    assert read_revocations(write_revocations(entries, version=1, store="a" * 36)).size == MOST


EMPTY: dict[str, Any] = {"sub": [], "session": [], "jti": []}


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"garbage",
        b"[]",
        b"{}",
        json.dumps({"store": "a", "version": 1}).encode(),
        json.dumps({"store": "a", "version": -1, "document": EMPTY}).encode(),
        json.dumps({"store": "a", "version": True, "document": EMPTY}).encode(),
        json.dumps({"store": 1, "version": 1, "document": EMPTY}).encode(),
        json.dumps({"store": "a", "version": 1, "document": []}).encode(),
        json.dumps({"store": "a", "version": 1, "document": {"sub": []}}).encode(),
        json.dumps({"store": "a", "version": 1, "document": {**EMPTY, "jti": [1]}}).encode(),
        json.dumps({"store": "a", "version": 1, "document": {**EMPTY, "jti": "abc"}}).encode(),
        json.dumps({"store": "a", "version": 1, "document": {**EMPTY, "session": [""]}}).encode(),
        b" " * (LARGEST_DOCUMENT + 1),
    ],
    ids=lambda wire: wire[:90].decode().strip() or f"{len(wire)} blanks",
)
def test_what_is_no_list_is_refused(wire: bytes) -> None:
    with pytest.raises(RevocationsInvalid):
        read_revocations(wire)
