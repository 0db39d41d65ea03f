"""The file of anchors: what was written is found again, whatever a killed process left between."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.auditanchor import Anchor, AnchorFile

pytestmark = pytest.mark.unit

AT = datetime(2026, 11, 29, 19, 40, tzinfo=UTC)


def anchor(n: int, *, writer: str = "control", schema: str = "control", fill: int = 1) -> Anchor:
    return Anchor(schema=schema, writer=writer, n=n, hash=bytes([fill]) * 32, at=AT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "anchors" / "audit.jsonl"


def test_the_furthest_one_of_each_writer_counts(path: Path) -> None:
    file = AnchorFile(path)
    assert file.furthest("control") == {}
    file.append([anchor(1), anchor(1, writer="phases")])
    file.append([anchor(5), anchor(9, schema="intake")])
    file.append([anchor(4)])
    assert file.furthest("control") == {"control": anchor(5), "phases": anchor(1, writer="phases")}
    assert file.furthest("intake") == {"control": anchor(9, schema="intake")}


def test_the_first_one_of_a_number_counts(path: Path) -> None:
    AnchorFile(path).append([anchor(5), anchor(5, fill=2)])
    assert AnchorFile(path).furthest("control") == {"control": anchor(5)}


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_half_a_line_spoils_no_other(path: Path, cut: int) -> None:
    file = AnchorFile(path)
    file.append([anchor(1)])
    file.append([anchor(2)])
    path.write_bytes(path.read_bytes()[:-cut])
    file.append([anchor(3)])
    assert file.furthest("control") == {"control": anchor(3)}
    lines = path.read_bytes().splitlines()
    assert len(lines) == 3


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"5", b"\xff", b'{"n": 9}', b'{"schema":"control","writer":"control","n":9,'
     b'"hash":"xx","at":"2026-11-29T19:40:00+00:00"}'],
)  # fmt: skip
def test_what_is_no_anchor_is_passed_over(path: Path, line: bytes) -> None:
    file = AnchorFile(path)
    file.append([anchor(1)])
    path.write_bytes(line + b"\n" + path.read_bytes())
    assert file.furthest("control") == {"control": anchor(1)}


def test_it_is_nobody_elses(path: Path) -> None:
    AnchorFile(path).append([anchor(1)])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    other = path.with_name("link.jsonl")
    other.symlink_to(path)
    with pytest.raises(OSError, match="symbolic"):
        AnchorFile(other).append([anchor(2)])
