"""`banyan access verify` counts the records and names what breaks the schema."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.access import app
from tests.fakes.records import line, without

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "access"
    folder.mkdir()
    return folder


def write(folder: Path, name: str, content: bytes, *, mode: int = 0o600) -> None:
    (folder / name).write_bytes(content)
    (folder / name).chmod(mode)


def test_good_records_are_counted(folder: Path) -> None:
    write(folder, "gateway-1.jsonl", line() + b"\n" + line(status=404) + b"\n")
    write(folder, "gateway-2.jsonl", line() + b"\n")
    write(folder, "notes.txt", b"no record")
    result = CliRunner().invoke(app, ["verify", str(folder)])
    assert (result.exit_code, result.stdout) == (
        0,
        "3 records in 2 files, 0 of them cut off at the end.\n",
    )


def test_an_empty_folder_holds_none(folder: Path) -> None:
    result = CliRunner().invoke(app, ["verify", str(folder), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "files": 0,
        "records": 0,
        "unfinished": 0,
        "findings": [],
    }


def test_what_breaks_the_schema_is_named_without_values(folder: Path) -> None:
    name = "Zoe Nunez"
    bad = line(entity=name, **{name: name})
    write(folder, "a.jsonl", line() + b"\n" + bad + b"\n" + without("sub") + b"\n")
    result = CliRunner().invoke(app, ["verify", str(folder), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"] == [
        {"file": "a.jsonl", "line": 2, "problems": ["unknown field", "entity: not allowed"]},
        {"file": "a.jsonl", "line": 3, "problems": ["sub: missing"]},
    ]
    plain = CliRunner().invoke(app, ["verify", str(folder)])
    assert plain.exit_code == 1
    assert "a.jsonl:2: unknown field, entity: not allowed" in plain.stderr
    assert "Zoe" not in result.output + plain.output


def test_a_file_that_a_killed_process_left_is_no_problem(folder: Path) -> None:
    write(folder, "a.jsonl", line() + b"\n" + line()[:50])
    result = CliRunner().invoke(app, ["verify", str(folder), "--json"])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["records"], told["unfinished"]) == (1, 1)


def test_half_a_line_in_the_middle_is_one(folder: Path) -> None:
    write(folder, "a.jsonl", line()[:50] + b"\n\n" + line() + b"\n")
    result = CliRunner().invoke(app, ["verify", str(folder), "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["records"] == 2
    assert told["findings"] == [{"file": "a.jsonl", "line": 1, "problems": ["not JSON"]}]


def test_a_file_that_others_may_read_is_named(folder: Path) -> None:
    write(folder, "a.jsonl", line() + b"\n", mode=0o640)
    result = CliRunner().invoke(app, ["verify", str(folder)])
    assert result.exit_code == 1
    assert "a.jsonl: readable by others" in result.stderr


def test_without_a_folder_it_says_which_setting_names_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify", str(tmp_path / "nowhere")])
    assert result.exit_code == 3
    assert "ACCESS_LOG_FOLDER" in result.stderr
