"""A record is in the file before anybody answers, or the one who waits is told that it is not."""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from runtime.accesslog import AccessLog
from runtime.recordfile import RecordFile
from tests.until import until_async

pytestmark = pytest.mark.unit

NOON = datetime(2026, 8, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Desk:
    """Waits for records, and remembers what the folder held when it was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[bool] = []
        self.seen: list[bytes] = []

    def heard(self, count: int) -> Callable[[], Awaitable[bool]]:
        async def enough() -> bool:
            return len(self.told) >= count

        return enough

    def recorded(self, ok: bool) -> None:
        self.told.append(ok)
        self.seen.append(content(self.folder))


class Faults:
    """Opens real files whose calls are counted, and fail on demand."""

    def __init__(self) -> None:
        self.open: OSError | None = None
        self.write: OSError | None = None
        self.sync: OSError | None = None
        self.writes: list[bytes] = []
        self.syncs = 0
        self.opened: list[Path] = []

    def __call__(self, path: Path) -> RecordFile:
        if self.open:
            raise self.open
        self.opened.append(path)
        return _FaultyFile(path, self)


class _FaultyFile(RecordFile):
    def __init__(self, path: Path, faults: Faults) -> None:
        super().__init__(path)
        self.faults = faults

    def append(self, lines: bytes) -> None:
        self.faults.writes.append(lines)
        if self.faults.write:
            raise self.faults.write
        super().append(lines)

    def sync_job(self) -> Callable[[], None]:
        job = super().sync_job()

        def sync() -> None:
            self.faults.syncs += 1
            job()
            if self.faults.sync:
                raise self.faults.sync

        return sync


FULL = OSError(28, "No space left on device")


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*")))


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def log(tmp_path: Path, faults: Faults) -> Iterator[AccessLog]:
    log = AccessLog(tmp_path, "gateway", sync_every=0.01, clock=lambda: NOON, open_file=faults)
    yield log
    faults.open = faults.write = faults.sync = None
    log.close()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def turn() -> None:
    await asyncio.sleep(0)


async def test_records_of_one_turn_are_one_write_and_told_when_they_are_there(
    log: AccessLog, desk: Desk, faults: Faults
) -> None:
    for number in range(32):
        log.append(b'{"n":%d}' % number, desk)
    assert desk.told == []
    assert faults.writes == []
    await turn()
    whole = b"".join(b'{"n":%d}\n' % number for number in range(32))
    assert faults.writes == [whole]
    assert desk.told == [True] * 32
    assert desk.seen == [whole] * 32
    assert (log.records, log.lost, log.healthy) == (32, 0, True)


async def test_what_is_appended_while_others_are_told_comes_with_the_next_turn(
    log: AccessLog, desk: Desk, faults: Faults
) -> None:
    class Pipelined(Desk):
        def recorded(self, ok: bool) -> None:
            super().recorded(ok)
            log.append(b"second", desk)

    first = Pipelined(desk.folder)
    log.append(b"first", first)
    await turn()
    assert (first.told, desk.told) == ([True], [])
    await turn()
    assert desk.told == [True]
    assert faults.writes == [b"first\n", b"second\n"]


async def test_a_patient_record_goes_with_the_next_that_somebody_waits_for(
    log: AccessLog, faults: Faults, desk: Desk
) -> None:
    log.append_patient(b"behind", desk)
    await asyncio.sleep(0)
    assert desk.told == []
    log.append(b"own", desk)
    await asyncio.sleep(0)
    assert faults.writes == [b"behind\nown\n"]
    assert desk.told == [True, True]


async def test_a_patient_record_does_not_wait_for_ever(
    log: AccessLog, faults: Faults, desk: Desk
) -> None:
    for turn in range(2):
        log.append_patient(b"one", desk)
        log.append_patient(b"two", desk)
        await until_async(desk.heard(2 * turn + 2))
    assert faults.writes == [b"one\ntwo\n"] * 2


async def test_closing_writes_what_is_patient(log: AccessLog, faults: Faults, desk: Desk) -> None:
    log.append_patient(b"behind", desk)
    log.close()
    assert (faults.writes, desk.told) == ([b"behind\n"], [True])


async def test_a_record_without_a_waiter_is_written_as_well(log: AccessLog, tmp_path: Path) -> None:
    log.append(b"left", None)
    await turn()
    assert content(tmp_path) == b"left\n"


async def test_a_waiter_that_fails_does_not_keep_the_others_waiting(
    log: AccessLog, desk: Desk
) -> None:
    class Broken:
        def recorded(self, ok: bool) -> None:
            raise LookupError("patient 7")

    log.append(b"a", Broken())
    log.append(b"b", desk)
    with structlog.testing.capture_logs() as logs:
        await turn()
    assert desk.told == [True]
    assert [entry["event"] for entry in logs] == ["accesslog.waiter_failed"]


async def test_the_file_is_for_its_owner_and_named_after_process_and_start(
    log: AccessLog, tmp_path: Path
) -> None:
    log.open()
    path = only_file(tmp_path)
    assert path.name == f"gateway-20260801T120000.123456Z-{os.getpid()}.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_opening_fails_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        AccessLog(tmp_path / "file" / "access", "gateway").open()


@pytest.mark.parametrize("fault", ["open", "write"])
async def test_what_cannot_be_written_is_said_and_the_next_record_tries_again(
    log: AccessLog, desk: Desk, faults: Faults, tmp_path: Path, fault: str
) -> None:
    setattr(faults, fault, FULL)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            log.append(b"a", desk)
            log.append(b"b", desk)
            await turn()
            assert not log.healthy
        setattr(faults, fault, None)
        log.append(b"c", desk)
        await turn()
    assert desk.told == [False] * 6 + [True]
    assert content(tmp_path) == b"c\n"
    assert (log.records, log.lost, log.healthy) == (1, 6, True)
    events = [entry["event"] for entry in logs]
    assert events == ["accesslog.write_failed", "accesslog.writes_again"]


async def test_a_deleted_file_is_made_again_after_a_failure(
    log: AccessLog, desk: Desk, faults: Faults, tmp_path: Path
) -> None:
    log.append(b"a", desk)
    await turn()
    path = only_file(tmp_path)
    path.unlink()
    faults.write = FULL
    log.append(b"b", desk)
    await turn()
    faults.write = None
    log.append(b"c", desk)
    await turn()
    assert path.read_bytes() == b"c\n"


async def test_a_full_file_is_followed_by_the_next_one(
    tmp_path: Path, desk: Desk, faults: Faults
) -> None:
    log = AccessLog(tmp_path, "gateway", most_bytes=25, clock=lambda: NOON, open_file=faults)
    for number in range(5):
        log.append(b"%09d" % number, desk)
        await turn()
    log.close()
    assert desk.told == [True] * 5
    names = [path.name for path in faults.opened]
    stem = f"gateway-20260801T120000.123456Z-{os.getpid()}"
    assert names == [f"{stem}.jsonl", f"{stem}.1.jsonl", f"{stem}.2.jsonl"]
    sizes = [path.stat().st_size for path in faults.opened]
    assert sizes == [20, 20, 10]
    assert faults.syncs == 3


async def test_a_turn_that_is_larger_than_a_file_stays_together(tmp_path: Path, desk: Desk) -> None:
    log = AccessLog(tmp_path, "gateway", most_bytes=10)
    for _ in range(5):
        log.append(b"x" * 9, desk)
    await turn()
    log.close()
    path = only_file(tmp_path)
    assert path.stat().st_size == 50


async def test_it_is_synced_in_the_background_and_not_when_nothing_happened(
    log: AccessLog, desk: Desk, faults: Faults
) -> None:
    for _ in range(20):
        log.append(b"a", desk)
        await turn()

    async def synced() -> bool:
        return faults.syncs > 0

    await until_async(synced)
    assert faults.syncs == 1
    log.close()
    assert faults.syncs == 2  # the one of close


async def test_a_sync_that_failed_is_not_trusted_again(
    log: AccessLog, desk: Desk, faults: Faults
) -> None:
    faults.sync = OSError(5, "Input/output error")
    log.append(b"a", desk)

    async def noticed() -> bool:
        return not log.healthy

    with structlog.testing.capture_logs() as logs:
        await until_async(noticed)
    assert [entry["event"] for entry in logs] == ["accesslog.sync_failed"]
    faults.sync = None
    log.append(b"b", desk)
    await turn()
    assert not log.healthy  # written, but is the disk well?

    async def well() -> bool:
        return log.healthy

    await until_async(well)
    assert desk.told == [True, True]
    assert [path.name[-8:] for path in faults.opened][1:] == [".1.jsonl"]


async def test_closing_writes_what_is_pending_and_syncs_it(
    log: AccessLog, desk: Desk, faults: Faults, tmp_path: Path
) -> None:
    log.append(b"last", desk)
    log.close()
    assert (desk.told, faults.syncs) == ([True], 1)
    assert content(tmp_path) == b"last\n"
    await turn()
    assert faults.writes == [b"last\n"]
    log.close()


async def test_records_of_a_drain_that_outlasts_the_close_are_kept(
    log: AccessLog, desk: Desk, tmp_path: Path
) -> None:
    log.append(b"a", desk)
    log.close()
    log.append(b"b", desk)
    await turn()
    assert desk.told == [True, True]
    assert content(tmp_path) == b"a\nb\n"


async def test_closing_tells_of_a_failed_sync(log: AccessLog, desk: Desk, faults: Faults) -> None:
    log.append(b"a", desk)
    await turn()
    faults.sync = OSError(5, "Input/output error")
    with structlog.testing.capture_logs() as logs:
        log.close()
    assert not log.healthy
    assert [entry["event"] for entry in logs] == ["accesslog.sync_failed"]
