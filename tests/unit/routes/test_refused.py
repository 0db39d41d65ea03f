"""Every refusal has its words, and says no more than it is given."""

import pytest

from routes import refused
from routes.problem import PROBLEMS, FieldError
from routes.refused import (
    InvalidKey,
    InvalidQuery,
    MethodNotAllowed,
    NoSuchMethod,
    RateLimited,
    Refused,
    Unclear,
)

pytestmark = pytest.mark.unit


KINDS = [
    kind for kind in vars(refused).values() if isinstance(kind, type) and issubclass(kind, Refused)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_refusal_is_in_the_table(kind):
    status = PROBLEMS[kind.code].status
    assert 400 <= status < 500 or status in (501, 505)


def test_codes_are_distinct():
    groups = (Refused, Unclear, NoSuchMethod)  # the last one is a MethodNotAllowed that closes
    codes = [kind.code for kind in KINDS if kind not in groups]
    assert len(set(codes)) == len(codes)


def test_a_query_and_a_key_say_what_was_refused():
    assert InvalidQuery("colour", "unknown_parameter").errors == (
        FieldError(field="colour", code="unknown_parameter"),
    )
    assert InvalidKey("expected_uuid").errors == (FieldError(field="key", code="expected_uuid"),)


def test_a_method_says_what_is_allowed():
    assert MethodNotAllowed().allowed == "GET, HEAD"
    assert MethodNotAllowed("POST").allowed == "POST"


def test_whoever_asks_too_often_is_told_how_long_to_wait():
    assert RateLimited(0.25).seconds == 0.25
