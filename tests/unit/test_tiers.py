"""`make test` runs every test once, the data plane's over both forms, and never leaves one out unsaid."""

import glob
import subprocess
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runtime.compiled.build import BuildFailed
from tests import tiers

pytestmark = pytest.mark.unit


class Runs:
    """What would have been run: arguments of pytest in this process and beside it, with the form of the latter."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, codes: dict[str, int]) -> None:
        self.here: list[list[str]] = []
        self.beside: list[tuple[list[str], str]] = []
        self.claims: list[str] = []
        self._codes = codes
        monkeypatch.setattr(pytest, "main", self._main)
        monkeypatch.setattr(subprocess, "run", self._run)
        monkeypatch.setattr(tiers, "build", lambda: Path())

    def _main(self, given: list[str], plugins: object) -> int:
        self.here.append([*given])
        given.insert(0, "--import-mode=importlib")  # as pytest does with its addopts
        return self._codes.get("here", 0)

    def _run(self, command: list[str], env: dict[str, str], **_: object) -> CompletedProcess[bytes]:
        form, given = env["GATEWAY_FORM"], command[3:]
        if "tests/stack/test_shadow_claims.py" in given:
            self.claims = given
            return CompletedProcess(command, self._codes.get("claims", 0))
        self.beside.append((given, form))
        return CompletedProcess(command, self._codes.get(form, 0))


@pytest.mark.parametrize("arguments", [[], ["--strict-tiers"]])
def test_a_whole_run_has_three_lanes_and_then_the_compiled_form(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    runs = Runs(monkeypatch, {})
    assert tiers.main(arguments) == 0
    assert runs.here == [[*arguments, "-m", tiers.FIRST, "--ignore-glob", "*/test_*claims.py"]]
    assert runs.claims[: len(arguments)] == arguments
    assert "tests/stack/test_shadow_claims.py" in runs.claims
    (others, plain), (data_plane, compiled) = runs.beside
    assert (others, plain) == ([*arguments, "-m", f"not ({tiers.FIRST})"], "plain")
    assert data_plane[: len(arguments)] == arguments
    assert (set(data_plane) > {"tests/flow"}, compiled) == (True, "compiled")


@pytest.mark.parametrize(
    ("codes", "code", "beside"),
    [
        ({"here": 1}, 1, ["plain", "compiled"]),
        ({"claims": 2}, 2, ["plain", "compiled"]),
        ({"plain": 3}, 3, ["plain"]),
        ({"compiled": 4}, 4, ["plain", "compiled"]),
    ],
)
def test_whatever_fails_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, codes: dict[str, int], code: int, beside: list[str]
) -> None:
    runs = Runs(monkeypatch, codes)
    assert tiers.main([]) == code
    assert [form for _, form in runs.beside] == beside


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--strict-tiers"], 1)])
def test_without_a_compiler_the_compiled_form_is_said_to_be_left_out(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
) -> None:
    def refuse() -> Path:
        raise BuildFailed("no compiler")

    Runs(monkeypatch, {})
    monkeypatch.setattr(tiers, "build", refuse)
    assert tiers.main(arguments) == code
    assert "no compiler\nThe compiled form was not tested" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["-k", "word"], ["--strict-tiers", "tests/unit"]])
def test_what_is_asked_for_runs_here_alone(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    runs = Runs(monkeypatch, {})
    assert tiers.main(arguments) == 0
    assert (runs.here, runs.beside) == ([arguments], [])


def test_what_is_tested_in_both_forms_is_there() -> None:
    assert [pattern for pattern in tiers.DATA_PLANE if not glob.glob(pattern)] == []
