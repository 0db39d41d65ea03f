"""Every refusal has its words, and says no more than it is given."""

import pytest

from routes import refused
from routes.problem import PROBLEMS, FieldError
from routes.refused import InvalidKey, InvalidQuery, MethodNotAllowed, Refused

pytestmark = pytest.mark.unit


KINDS = [
    kind for kind in vars(refused).values() if isinstance(kind, type) and issubclass(kind, Refused)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_refusal_is_in_the_table(kind):
    assert 400 <= PROBLEMS[kind.code].status < 500


def test_codes_are_distinct():
    codes = [kind.code for kind in KINDS if kind is not Refused]
    assert len(set(codes)) == len(codes)


def test_a_query_and_a_key_say_what_was_refused():
    assert InvalidQuery("colour", "unknown_parameter").errors == (
        FieldError(field="colour", code="unknown_parameter"),
    )
    assert InvalidKey("expected_uuid").errors == (FieldError(field="key", code="expected_uuid"),)


def test_a_method_says_what_is_allowed():
    assert MethodNotAllowed().allowed == "GET, HEAD"
    assert MethodNotAllowed("POST").allowed == "POST"
