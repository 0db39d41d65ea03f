"""Access records of one id, out of files as gateways write them."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from migration.trace.access import read_access
from runtime.accessrecord import problems

pytestmark = pytest.mark.unit

ID = "corr-12345678"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def record(**members: Any) -> bytes:
    whole = {
        "ts": "2026-03-01T12:00:00.250Z",
        "correlation_id": ID,
        "sub": "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
        "role": "clinician",
        "purpose": "treatment",
        "resource": "0123456789abcdef0123456789abcdef",
        "source_ip": "192.0.2.1",
        "flag_version": 7,
        "duration_ms": 12.5,
        "action": "create",
        "entity": "lab_orders",
        "outcome": "success",
        "status": 201,
        "stage": "live",
        "side": "service",
        "route": "/v2/lab-orders",
        "method": "POST",
        **members,
    }
    return json.dumps(whole, separators=(",", ":")).encode()


def write(folder: Path, name: str, *lines: bytes, end: bytes = b"\n") -> Path:
    path = folder / f"{name}.jsonl"
    path.write_bytes(b"\n".join(lines) + end)
    return path


def test_a_record_is_found_and_who_it_was_stays_in_it(tmp_path: Path) -> None:
    assert problems(record()) == []
    others = [record(correlation_id=f"corr-{n:08}") for n in range(3)]
    write(tmp_path, "a", *others, record(), *others)
    write(tmp_path, "b", others[0])
    found = read_access(tmp_path, ID, LONG_AGO)
    [line] = found.lines
    assert (line.at, line.word, line.entity, line.key) == (
        datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC),
        "201",
        "lab_orders",
        None,
    )
    assert dict(line.facts) == {
        "method": "POST",
        "route": "/v2/lab-orders",
        "outcome": "success",
        "purpose": "treatment",
        "role": "clinician",
        "stage": "live",
        "side": "service",
        "flag_version": 7,
        "duration_ms": 12.5,
    }
    assert [one.extent for one in found.looked] == [
        "access records, 2 files since 2020-01-01T00:00:00Z"
    ]


def test_first_and_last_line_and_nothing_unfinished(tmp_path: Path) -> None:
    write(tmp_path, "a", record(status=200), record(status=404), record(status=500)[:-20], end=b"")
    assert [line.word for line in read_access(tmp_path, ID, LONG_AGO).lines] == ["200", "404"]


def test_the_id_counts_in_its_own_place_alone(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a",
        record(correlation_id="corr-00000000", role="corr"),
        record()[:-1] + b',"x":1}',
    )
    found = read_access(tmp_path, "corr", LONG_AGO)
    assert found.lines == []
    broken = read_access(tmp_path, ID, LONG_AGO)
    assert broken.lines == []
    assert broken.looked[0].extent.endswith("1 lines broken")


def test_files_that_ended_before_are_left_out(tmp_path: Path) -> None:
    old = write(tmp_path, "old", record())
    write(tmp_path, "empty", end=b"")
    day_ago = datetime.now(UTC) - timedelta(days=1)
    os.utime(old, (day_ago.timestamp() - 60,) * 2)
    assert read_access(tmp_path, ID, day_ago).lines == []
    assert len(read_access(tmp_path, ID, day_ago - timedelta(hours=1)).lines) == 1


def test_without_a_folder_nothing_follows_from_nothing(tmp_path: Path) -> None:
    [looked] = read_access(tmp_path / "none", ID, LONG_AGO).looked
    assert looked.trouble == "no_folder"
