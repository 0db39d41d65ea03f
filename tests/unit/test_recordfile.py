"""Lines go in whole, or not at all. (What a full disk does is in tests/stack/test_recordfile_full.py.)"""

import stat
from pathlib import Path

import pytest

from runtime.recordfile import RecordFile

pytestmark = pytest.mark.unit


def test_folder_and_file_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "access" / "a.jsonl"
    RecordFile(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_existing_file_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n")
    file = RecordFile(path)
    file.append(b"two\nthree\n")
    assert file.size == 14
    file.close()
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_half_a_line_that_somebody_left_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'one\n{"half')
    file = RecordFile(path)
    file.append(b"two\n")
    file.append(b"three\n")
    file.close()
    assert path.read_bytes() == b'one\n{"half\ntwo\nthree\n'


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        RecordFile(tmp_path / "a.jsonl")
    assert not (tmp_path / "elsewhere").exists()


def test_a_sync_outlives_the_file_it_was_made_for(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "a.jsonl")
    file.append(b"one\n")
    job = file.sync_job()
    file.close()
    job()
    with pytest.raises(OSError, match="Bad file descriptor"):
        job()
