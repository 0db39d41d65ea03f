"""docs/v2-api.md names every path, code and default, and its examples are understood."""

import ast
import re
from pathlib import Path

import pytest

import routes
from benchmarks.writes.troubles import TROUBLES
from routes import operations, resources
from routes.asked import read_asked
from routes.match import match
from routes.problem import PROBLEMS
from services.diagnostics.vendor import STATES

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "v2-api.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip().strip("`") for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ")
]
CURSOR_KEY = b"k" * 32

COMPOSED = {"expected_1_to_200", "expected_partner_id~site_code~sku"}
"""Codes that the source puts together."""
RAISES_A_CODE = {
    *("QueryError", "ValueRefused", "CursorRefused", "InvalidQuery", "InvalidKey"),
    *("BodyRefused", "InvalidBody", "FieldError"),
}


def test_every_resource_is_listed_with_its_order_and_its_staff_fields():
    listed = [row for row in ROWS if row[0].startswith("/v2/")]
    described = [
        (path, order, set(re.findall(r"\w+", staff_only))) for path, _, order, staff_only in listed
    ]
    assert described == [
        (resource.collection_path, resource.order, set(resource.staff_only))
        for resource in resources()
    ]


def test_what_a_write_can_meet_is_listed_as_it_is_measured():
    listed = {row[0]: row for row in ROWS if len(row) == 3}
    for trouble in TROUBLES:
        _, answer, outcome = listed[trouble.name]
        said = trouble.answer
        assert answer.startswith(f"{said.status} `{said.code}" if said.code else f"{said.status}:")
        assert outcome == said.outcome


def test_every_operation_is_listed_with_its_members():
    listed = {row[0] for row in ROWS if re.match(r"(GET|POST|PUT) /v2/", row[0])}
    assert listed == {f"{one.method} {one.pattern}" for one in operations()}
    page = {line.split("`")[1]: line for line in PAGE.splitlines() if line.startswith("| `")}
    for one in operations():
        found = re.findall(r"`(\w+)`(\??)", page[f"{one.method} {one.pattern}"].split("|")[3])
        assert found == [(name, "" if m.required else "?") for name, m in one.members.items()]


def test_every_word_of_a_laboratory_is_listed():
    (line,) = re.findall(r"`status` is one of ([^.]+)\.", PAGE)
    assert re.findall(r"`(\w+)`", line) == list(STATES)


def test_every_problem_is_listed_with_its_status():
    listed = {(int(row[0]), row[1]) for row in ROWS if row[0].isdigit()}
    assert listed == {(problem.status, code) for code, problem in PROBLEMS.items()}


def test_every_code_of_a_refusal_is_explained():
    missing = {code for code in codes_in_the_source() | COMPOSED if f"`{code}`" not in PAGE}
    assert missing == set()


def codes_in_the_source() -> set[str]:
    calls = [
        node
        for path in Path(routes.__path__[0]).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in RAISES_A_CODE
    ]
    written = [call.args[-1] for call in calls if call.args]
    written += [word.value for call in calls for word in call.keywords if word.arg == "code"]
    return {str(arg.value) for arg in written if isinstance(arg, ast.Constant)}


def test_the_source_is_really_searched():
    assert codes_in_the_source() >= {"unknown_parameter", "expected_uuid", "invalid_cursor"}


EXAMPLES = re.findall(r'^curl -g .*"\$BANYAN(/[^"?]+)(?:\?([^"]*))?"$', PAGE, re.MULTILINE)


def test_every_example_was_found():
    assert len(EXAMPLES) == len(re.findall(r"^curl", PAGE, re.MULTILINE)) > 10


@pytest.mark.parametrize(("path", "query"), EXAMPLES)
def test_examples_are_understood(path, query):
    found = match(path.encode())
    assert found is not None
    without_cursor = query.replace("&cursor=$NEXT", "")
    asked = read_asked(found, without_cursor.encode(), (), staff=False, cursor_key=CURSOR_KEY)
    assert asked.resource is found.resource
