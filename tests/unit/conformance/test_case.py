"""Conformance cases: read strictly, compared digit for digit."""

from pathlib import Path

import httpx
import pytest

from sandbox.conformance.case import BadCase, Case, differences, load, same_json

pytestmark = pytest.mark.unit


def test_there_are_enough_and_every_part_has_some() -> None:
    cases = load()
    assert len(cases) >= 60
    parts = {case.id.partition(".")[0] for case in cases}
    assert parts >= {
        "filter",
        "select",
        "order",
        "embed",
        "page",
        "insert",
        "upsert",
        "call",
        "rls",
    }
    assert any(case.write for case in cases)
    assert any(not case.write for case in cases)


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        ('{"a":1,"b":2}', '{"b":2, "a":1}', True),
        ("[1]", "[1.0]", False),
        ("[12.50]", "[12.5]", False),
        ("[1]", '["1"]', False),
        ("[9007199254740993]", "[9007199254740992]", False),
        ("[null]", "[]", False),
        ("[]", "no json", False),
    ],
)
def test_same_json(expected: str, got: str, same: bool) -> None:
    assert same_json(expected, got) is same


def case(**words: object) -> Case:
    return Case.model_validate({"id": "x", "method": "GET", "path": "/", "status": 200, **words})


def test_every_kind_of_difference_is_named() -> None:
    response = httpx.Response(200, text='{"code":"A","message":"m","details":"d","hint":null}')
    held = case(code="A", details="d", answer={"Location": None})
    assert differences(held, response) == []
    assert len(differences(case(status=201), response)) == 1
    assert len(differences(case(body="[]"), response)) == 1
    assert len(differences(case(text=""), response)) == 1
    assert len(differences(case(answer={"Location": "/x"}), response)) == 1
    assert len(differences(case(code="B", details="e"), response)) == 2
    assert len(differences(case(code="A"), httpx.Response(200, text="[]"))) == 1
    assert len(differences(case(code="A"), httpx.Response(200, text="<html>"))) == 1


@pytest.mark.parametrize(
    "written",
    [
        "- {id: a, status: 200}",
        "- {id: a, get: /x, post: /x, status: 200}",
        "- {id: a, get: /x, status: 200, bdoy: x}",
        "- {id: a, get: /x, status: 200}\n- {id: a, get: /y, status: 200}",
    ],
)
def test_a_bad_case_is_named(tmp_path: Path, written: str) -> None:
    (tmp_path / "cases.yaml").write_text(written, encoding="utf-8")
    with pytest.raises(BadCase, match=r"cases\.yaml"):
        load(tmp_path)
