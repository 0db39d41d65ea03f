"""`banyan token` prints a token and nothing else, or says whom it knows."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from runtime.stack import Stack

pytestmark = pytest.mark.unit


@pytest.fixture
def run(tmp_path: Path) -> Path:
    Stack(pid=1, started_at="", tokens={"patient": "t-1"}, operators={"viewer": "t-2"}).write(
        tmp_path / "stack.json"
    )
    return tmp_path


@pytest.mark.parametrize(("name", "token"), [("patient", "t-1"), ("viewer", "t-2")])
def test_a_known_user(run: Path, name: str, token: str) -> None:
    result = CliRunner().invoke(app, ["token", name, "--run", str(run)])
    assert (result.exit_code, result.stdout) == (0, f"{token}\n")


def test_an_unknown_user_is_told_who_there_is(run: Path) -> None:
    result = CliRunner().invoke(app, ["token", "nobody", "--run", str(run)])
    assert result.exit_code == 3
    assert "Known: viewer, patient." in result.stderr


def test_without_a_sandbox_it_says_how_to_start_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["token", "patient", "--run", str(tmp_path)])
    assert result.exit_code == 3
    assert "banyan up" in result.stderr
