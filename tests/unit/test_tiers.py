"""`make test` runs the data plane's tests over both forms, and never leaves one out unsaid."""

import glob

import pytest

from tests import tiers

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("arguments", "code", "again"),
    [
        ([], 0, [False]),
        (["--strict-tiers"], 0, [True]),
        (["--strict-tiers"], 1, []),
        (["-k", "word"], 0, []),
        (["--strict-tiers", "tests/unit"], 0, []),
    ],
)
def test_the_compiled_form_follows_a_whole_run_that_passed(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, again: list[bool]
) -> None:
    def run(given: list[str], plugins: object) -> int:
        given.insert(0, "--import-mode=importlib")  # as pytest does with its addopts
        return code

    followed: list[bool] = []

    def compiled(*, strict: bool) -> int:
        followed.append(strict)
        return 0

    monkeypatch.setattr(pytest, "main", run)
    monkeypatch.setattr(tiers, "_compiled", compiled)
    assert tiers.main(arguments) == code
    assert followed == again


def test_what_is_tested_in_both_forms_is_there() -> None:
    assert [pattern for pattern in tiers.DATA_PLANE if not glob.glob(pattern)] == []
