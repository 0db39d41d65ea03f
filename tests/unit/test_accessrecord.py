"""The closed schema: what fits, what does not, and that nothing is said of values."""

import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.accessrecord import FIELDS, many, problems, resource_tag, role_word
from tests.fakes.records import GOOD, KEY, line, without

pytestmark = pytest.mark.unit

NAME = "zoe-nunez"


def test_a_record_of_an_ordinary_read_fits() -> None:
    assert problems(line()) == []


def test_the_fields_are_those_of_the_rules_in_the_order_of_a_record() -> None:
    optional = {name for name, field in FIELDS.items() if not field.required}
    assert optional == {"client_id_rejected", "code"}
    assert [name for name in FIELDS if name not in optional] == list(GOOD)


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "anonymous", "role": "anonymous", "status": 401, "outcome": "denied"},
        {"sub": "banyan.mirror", "role": "machine", "purpose": "mirror"},
        {"client_id_rejected": True},
        {"code": "upstream_busy", "status": 503, "outcome": "failed"},
        {"resource": many(0)},
        {"resource": many(200), "side": "both"},
        {"resource": "none", "entity": "none", "route": "none", "stage": "none", "side": "none"},
        {"route": "ofrep", "side": "gateway"},
        {"route": "/v2/appointments/{id}/requests"},
        {"route": "/healthz"},
        {"route": "/v2/openapi.json"},
        {"source_ip": "::1"},
        {"source_ip": "::ffff:127.0.0.1"},
        {"source_ip": "none"},
        {"status": 499, "outcome": "unknown"},
        {"duration_ms": 0, "flag_version": 0},
        {"method": "other"},
    ],
    ids=str,
)
def test_what_else_happens_fits(changes: dict[str, Any]) -> None:
    assert problems(line(**changes)) == []


@pytest.mark.parametrize("name", [name for name in FIELDS if name in GOOD])
def test_a_missing_field_is_named(name: str) -> None:
    assert problems(without(name)) == [f"{name}: missing"]


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "correlation_id"])
@pytest.mark.parametrize(
    "value",
    [
        NAME,
        "Zoë Nuñez",
        "",
        None,
        False,
        [],
        {},
        -1,
        1e9,
        "1985-04-12",
        "email=eq.a@b.example",
        "GOOD\n",
    ],
    ids=repr,
)
def test_no_field_takes_what_a_person_could_be_known_by(name: str, value: object) -> None:
    assert problems(line(**{name: value})) == [f"{name}: not allowed"]


@pytest.mark.parametrize(
    "changes",
    [
        {"ts": "2026-08-01T12:00:00Z"},
        {"ts": "2026-08-01 12:00:00.123Z"},
        {"correlation_id": "short"},
        {"correlation_id": "x" * 65},
        {"correlation_id": "Zoe Nunez 1985"},
        {"correlation_id": "zoe@example.org"},
        {"sub": GOOD["sub"].upper() + "F"},
        {"sub": "banyan.Zoe"},
        {"role": "Admin"},
        {"entity": "lab-orders"},
        {"resource": GOOD["sub"]},
        {"resource": "many:-1"},
        {"resource": GOOD["resource"][:-1]},
        {"status": 200.0},
        {"status": True},
        {"status": 101},
        {"status": 600},
        {"source_ip": "127.0.0.1:80"},
        {"source_ip": "localhost"},
        {"duration_ms": True},
        {"duration_ms": -0.1},
        {"route": "/v2/lab-orders/00000001-0000-4000-8000-000000000001"},
        {"route": "/v2/lab-orders/17"},
        {"route": "/v2/lab-orders/{key}?a=b"},
        {"method": "get"},
        {"client_id_rejected": False},
        {"code": "Upstream busy"},
    ],
    ids=str,
)
def test_what_is_nearly_right_is_wrong(changes: dict[str, Any]) -> None:
    (name,) = changes
    assert problems(line(**changes)) == [f"{name}: not allowed"]


def test_an_unknown_field_is_not_named() -> None:
    (problem,) = problems(line(**{NAME: 1}))
    assert problem == "unknown field"


def test_a_field_that_comes_twice_is_found() -> None:
    twice = line().replace(b"{", b'{"status": 500, ', 1)
    assert problems(twice) == ["status: twice"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"duration_ms": NaN}', "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not an object"),
        (b'"ts"', "not an object"),
    ],
    ids=["empty", "half", "nan", "bytes", "deep", "list", "text"],
)
def test_what_is_no_record_at_all(text: bytes, problem: str) -> None:
    assert problems(text) == [problem]


@given(st.dictionaries(st.sampled_from(list(FIELDS)), st.text()), st.text(min_size=12))
def test_no_value_is_ever_repeated(changes: dict[str, str], name: str) -> None:
    said = problems(line(**changes, **{name: name}))
    words = {"missing", "not allowed", "twice"}
    for problem in said:
        assert problem == "unknown field" or (
            problem.partition(": ")[0] in FIELDS and problem.partition(": ")[2] in words
        )


# --- tags


@given(st.binary(min_size=32, max_size=100), st.text(), st.text())
def test_a_tag_is_a_shortened_hmac_of_length_prefixed_parts(
    key: bytes, entity: str, row: str
) -> None:
    one, two = entity.encode(), row.encode()
    parts = len(one).to_bytes(4) + one + len(two).to_bytes(4) + two
    expected = hmac.digest(key, parts, "sha256").hex()[:32]
    assert resource_tag(key, entity, row) == expected
    assert resource_tag(key, entity, row) == expected


def test_other_rows_entities_and_keys_have_other_tags() -> None:
    tags = {
        resource_tag(key, entity, row)
        for key in (KEY, b"l" * 32)
        for entity, row in (("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", ""), ("a", "bcd"))
    }
    assert len(tags) == 10


@pytest.mark.parametrize(
    ("role", "word"),
    [
        ("patient", "patient"),
        ("care_team", "care_team"),
        ("Admin", "other"),
        ('p"x', "other"),
        ("", "other"),
        ("a" * 33, "other"),
        ("a\n", "other"),
    ],
)
def test_a_role_is_a_word_or_other(role: str, word: str) -> None:
    assert role_word(role) == word
    assert problems(line(role=role_word(role))) == []
