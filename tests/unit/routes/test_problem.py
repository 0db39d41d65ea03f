"""Error bodies: the table, and nothing but the table and the refused names."""

import json

import pytest

from routes.problem import _PROBLEMS, MEDIA_TYPE, PROBLEMS, FieldError, problem_body

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("code", list(PROBLEMS))
def test_the_body_is_the_tables_row(code):
    problem = PROBLEMS[code]
    body = problem_body(code, "0197-cid")
    assert json.loads(body) == {
        "type": f"urn:banyan:problem:{code}",
        "title": problem.title,
        "status": problem.status,
        "code": code,
        "detail": problem.detail,
        "correlation_id": "0197-cid",
    }
    assert body.isascii()


def test_refused_fields_are_named():
    errors = [FieldError(field='a"b', code="unknown_parameter"), FieldError(field="é", code="x")]
    body = problem_body("invalid_query", "c", errors)
    assert json.loads(body)["errors"] == [
        {"field": 'a"b', "code": "unknown_parameter"},
        {"field": "é", "code": "x"},
    ]
    assert body.isascii()


def test_codes_are_distinct_and_statuses_are_errors():
    assert len(PROBLEMS) == len(_PROBLEMS)
    assert all(400 <= problem.status <= 599 for problem in _PROBLEMS)
    assert all(problem.title and problem.detail.endswith(".") for problem in _PROBLEMS)


def test_an_unknown_code_is_a_mistake_of_ours():
    with pytest.raises(KeyError):
        problem_body("no_such_code", "c")


def test_the_media_type_is_rfc_9457s():
    assert MEDIA_TYPE == b"application/problem+json"
