"""Counts of several processes as one, while some of them end."""

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from runtime import groupfolder
from runtime.groupfolder import Counts, GroupFolder, State, add, fold

pytestmark = pytest.mark.unit


def state(number: float, **gauges: float) -> State:
    return State(
        counts={"requests": {("a", "b"): [number, 1.0]}},
        gauges={name: {(): value} for name, value in gauges.items()},
    )


def total(states: list[State]) -> float:
    counts: Counts = {}
    for one in states:
        add(counts, one.counts)
    rows = counts.get("requests", {})
    return rows[("a", "b")][0] if rows else 0.0


def test_adding_leaves_the_added_alone() -> None:
    into: Counts = {}
    more: Counts = {"f": {("x",): [1.0, 2.0]}}
    add(into, more)
    add(into, more)
    assert into == {"f": {("x",): [2.0, 4.0]}}
    assert more == {"f": {("x",): [1.0, 2.0]}}


def test_rows_of_another_shape_are_left_out() -> None:
    into: Counts = {"f": {("x",): [1.0, 2.0]}}
    add(into, {"f": {("x",): [1.0], ("y",): [1.0, 1.0]}})
    assert into == {"f": {("x",): [1.0, 2.0], ("y",): [1.0, 1.0]}}


def test_others_are_all_but_oneself(tmp_path: Path) -> None:
    mine, yours = GroupFolder(tmp_path, "1.0"), GroupFolder(tmp_path, "2.0")
    mine.write(state(10))
    yours.write(state(5, inflight=float("inf")))
    (found,) = mine.others()
    assert found == state(5, inflight=float("inf"))


def test_one_folder_holds_starts_of_one_process_id_apart(tmp_path: Path) -> None:
    for number in range(3):
        GroupFolder.of_this_process(tmp_path).write(state(number))
    assert total(GroupFolder.of_this_process(tmp_path).others()) == 3


def test_folding_keeps_the_sum_and_drops_gauges_and_files(tmp_path: Path) -> None:
    reader = GroupFolder(tmp_path, "1.0")
    GroupFolder(tmp_path, "22.7").write(state(5, inflight=3))
    GroupFolder(tmp_path, "22.9").write(state(6, inflight=3))
    GroupFolder(tmp_path, "2.9").write(state(7, inflight=1))
    fold(tmp_path, 22)
    assert total(reader.others()) == 18
    assert [one.gauges for one in reader.others() if one.gauges] == [{"inflight": {(): 1.0}}]
    assert {path.name for path in tmp_path.iterdir()} == {"2.9.state", "ended.counts"}
    fold(tmp_path, 2)
    assert total(reader.others()) == 18


def test_a_half_written_file_of_a_killed_process_goes_with_it(tmp_path: Path) -> None:
    (tmp_path / "22.7.tmp").write_bytes(b"\x82")
    fold(tmp_path, 22)
    assert not (tmp_path / "22.7.tmp").exists()


@pytest.mark.parametrize("moment", ["listed", "read", "between"])
def test_a_fold_while_somebody_reads_is_not_seen(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fold comes after the listing, after the file was read, or ends half way: written, not yet removed."""
    reader = GroupFolder(tmp_path, "1.0")
    GroupFolder(tmp_path, "22.7").write(state(5))
    real: Callable[..., object] = groupfolder._read
    kept = (tmp_path / "22.7.state").read_bytes()

    def read(path: Path, decoder: object) -> object:
        ready = {"listed": path.suffix == ".state", "read": path.name == "ended.counts"}
        if ready.get(moment):
            fold_once()
        return real(path, decoder)

    def fold_once() -> None:
        monkeypatch.setattr(groupfolder, "_read", real)
        fold(tmp_path, 22)

    if moment == "between":
        fold(tmp_path, 22)
        (tmp_path / "22.7.state").write_bytes(kept)
    else:
        monkeypatch.setattr(groupfolder, "_read", read)
    assert total(reader.others()) == 5
    assert total(reader.others()) == 5


def test_the_names_of_folded_files_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groupfolder, "_REMEMBERED", 10)
    for number in range(1, 16):
        GroupFolder(tmp_path, f"{number}.0").write(state(1))
        fold(tmp_path, number)
    names = groupfolder._ended.decode((tmp_path / "ended.counts").read_bytes()).folded
    assert names == [f"{number}.0.state" for number in range(6, 16)]
    assert total(GroupFolder(tmp_path, "x").others()) == 15


def test_a_file_of_another_release_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "3.0.state").write_bytes(b"\x01")
    GroupFolder(tmp_path, "4.0").write(state(5))
    with capture_logs() as logs:
        assert total(GroupFolder(tmp_path, "1.0").others()) == 5
    assert [(line["event"], line["file"]) for line in logs] == [
        ("groupfolder.unreadable", "3.0.state")
    ]
