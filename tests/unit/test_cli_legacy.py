"""`banyan legacy`: where the owner's DSN may come from, before any database is asked."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from runtime.stack import Stack

pytestmark = pytest.mark.unit


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["legacy", *arguments])


@pytest.mark.parametrize("command", ["prepare", "revert"])
def test_without_a_sandbox_the_database_must_be_named(tmp_path: Path, command: str):
    answer = run(command, "--run", str(tmp_path))

    assert answer.exit_code == 3
    assert "--dsn-file" in answer.stderr


def test_a_sandbox_over_a_project_of_its_own_has_no_owner(tmp_path: Path):
    Stack(pid=1, started_at="2025-01-01T00:00:00Z").write(tmp_path / "stack.json")
    answer = run("prepare", "--run", str(tmp_path))

    assert answer.exit_code == 3
    assert "--dsn-file" in answer.stderr


def test_a_dsn_file_that_others_can_read_is_refused(tmp_path: Path):
    file = tmp_path / "dsn"
    file.write_text("postgresql://planted:secret@127.0.0.1/legacy")
    file.chmod(0o644)
    answer = run("prepare", "--dsn-file", str(file))

    assert answer.exit_code == 3
    assert "chmod 600" in answer.stderr
    assert "planted" not in answer.output


def test_there_is_no_option_for_a_dsn_on_the_command_line():
    assert run("prepare", "--dsn", "postgresql://x").exit_code == 2
