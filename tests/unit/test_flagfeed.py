"""The feed without Redis: order of trust, what is refused, what lies on the disk, the kill switch."""

import asyncio
import os
from pathlib import Path

import anyio
import pytest
import structlog

from catalog.stage import Stage
from runtime.documentfeed import Source, save
from runtime.flagchange import Ramp, apply
from runtime.flagfeed import FlagFeed
from runtime.flagset import FlagSetInvalid, Scope, first_flag_set, write_flag_set
from runtime.flagsnapshot import FlagUser, read_snapshot, write_snapshot
from tests.until import until_async

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
USER = FlagUser(sub="0f0f0f0f-0000-4000-8000-000000000001")


def wire(version: int, *, store: str = "a", tenths: int = 0) -> bytes:
    change = Ramp(scope=Scope(entity="lab_orders"), stage=Stage.LIVE, tenths=tenths)
    flag_set = apply(first_flag_set(Stage.COMPLETE), change).flag_set
    return write_snapshot(write_flag_set(flag_set), version=version, store=store)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def feed(tmp_path, clock):
    feed = FlagFeed(
        redis_url=None,
        flags_file=ROOT / "config/flags.json",
        snapshot_file=tmp_path / "run" / "snapshot.json",
        kill_switch_file=tmp_path / "panic",
        clock=clock,
    )
    yield feed
    await feed.stop()


async def test_without_disk_and_redis_the_releases_file_counts(feed):
    await feed.start()
    assert (feed.source, feed.current.version, feed.current.store) == (Source.FILE, 0, "")
    assert feed.current.stage("lab_orders", USER) is Stage.LEGACY


async def test_the_disk_is_trusted_before_the_file(feed, tmp_path, clock):
    save(tmp_path / "run" / "snapshot.json", wire(7, tenths=1000))
    hour_ago = os.stat(tmp_path / "run" / "snapshot.json").st_mtime - 3600
    os.utime(tmp_path / "run" / "snapshot.json", (hour_ago, hour_ago))
    await feed.start()
    assert (feed.source, feed.current.version) == (Source.DISK, 7)
    assert feed.current.stage("lab_orders", USER) is Stage.LIVE
    assert 3600 <= feed.staleness_seconds < 3660


@pytest.mark.parametrize("content", [b"", b"{", b'{"store": "a", "version": 1, "document": {}}'])
async def test_garbage_on_the_disk_is_counted_and_the_file_counts(feed, tmp_path, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "snapshot.json").write_bytes(content)
    with structlog.testing.capture_logs() as logged:
        await feed.start()
    assert (feed.source, feed.counts.refused) == (Source.FILE, 1)
    assert "flags.refused" in [line["event"] for line in logged]


async def test_without_any_good_source_the_process_does_not_start(tmp_path):
    broken = tmp_path / "flags.json"
    broken.write_text('{"flags": {"labs.stage": {}}}')
    feed = FlagFeed(
        redis_url=None,
        flags_file=broken,
        snapshot_file=tmp_path / "snapshot.json",
        kill_switch_file=tmp_path / "panic",
    )
    with pytest.raises(FlagSetInvalid, match=r"labs\.stage"):
        await feed.start()


async def test_only_newer_versions_of_the_same_store_apply(feed):
    await feed.start()
    assert feed.offer(wire(5, tenths=1000), Source.PUSH)
    before = feed.current
    assert not feed.offer(wire(4), Source.PUSH)
    assert not feed.offer(wire(5), Source.POLL)
    assert feed.current is before
    assert feed.offer(wire(6), Source.POLL)
    assert (feed.current.version, feed.source, feed.counts.applied) == (6, Source.POLL, 2)


async def test_a_live_store_replaces_a_disk_of_another_whatever_its_version(feed, tmp_path):
    save(tmp_path / "run" / "snapshot.json", wire(900, store="gone"))
    await feed.start()
    assert feed.offer(wire(1, store="new"), Source.POLL)
    assert (feed.current.store, feed.current.version) == ("new", 1)


async def test_a_disk_that_is_ahead_of_its_own_store_stays(feed, tmp_path):
    save(tmp_path / "run" / "snapshot.json", wire(9))
    await feed.start()
    assert not feed.offer(wire(8), Source.POLL)
    assert (feed.current.version, feed.source) == (9, Source.DISK)


async def test_another_live_store_takes_over_and_that_is_told(feed):
    await feed.start()
    with structlog.testing.capture_logs() as logged:
        feed.offer(wire(5, store="a"), Source.PUSH)
        feed.offer(wire(2, store="b"), Source.PUSH)
    assert feed.current.store == "b"
    assert [x["event"] for x in logged if x["log_level"] == "warning"] == ["flags.store_changed"]


async def test_what_is_not_valid_replaces_nothing_and_is_told_once(feed):
    await feed.start()
    feed.offer(wire(5), Source.PUSH)
    good = feed.current
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            assert not feed.offer(b'{"store": "a", "version": 6, "document": {}}', Source.POLL)
        assert not feed.offer(b"garbage", Source.PUSH)
    assert feed.current is good
    assert feed.counts.refused == 2
    assert len(logged) == 2


async def test_staleness_counts_from_the_last_confirmation(feed, clock):
    await feed.start()
    feed.offer(wire(5), Source.PUSH)
    clock.now += 40
    assert feed.staleness_seconds == 40
    feed.offer(wire(4), Source.POLL)
    assert feed.staleness_seconds == 40, "an older version confirms nothing"
    feed.offer(wire(5), Source.POLL)
    assert feed.staleness_seconds == 0


async def test_what_is_applied_is_saved_for_the_next_start(feed, tmp_path):
    path = tmp_path / "run" / "snapshot.json"
    await feed.start()
    feed.offer(wire(5, tenths=300), Source.PUSH)

    async def saved() -> object:
        return path.exists()

    await until_async(saved)
    assert read_snapshot(path.read_bytes()).flag_set == feed.current.flag_set
    assert path.stat().st_mode & 0o777 == 0o600
    feed.offer(wire(6), Source.PUSH)
    await feed.stop()
    assert read_snapshot(path.read_bytes()).version == 6
    assert os.listdir(path.parent) == [path.name]


async def test_a_disk_that_cannot_be_written_hurts_nobody(feed, tmp_path):
    (tmp_path / "run").write_text("a file where the folder should be")
    await feed.start()
    feed.offer(wire(5), Source.PUSH)

    async def told() -> object:
        return feed.counts.saves_failed

    await until_async(told)
    assert feed.current.version == 5


def test_an_older_version_never_replaces_a_newer_one_on_the_disk(tmp_path):
    path = tmp_path / "snapshot.json"
    save(path, wire(6))
    save(path, wire(5))
    assert read_snapshot(path.read_bytes()).version == 6
    save(path, wire(1, store="b"))
    assert read_snapshot(path.read_bytes()).store == "b"
    path.write_bytes(b"garbage")
    save(path, wire(2))
    assert read_snapshot(path.read_bytes()).version == 2


async def test_many_writers_leave_one_whole_file(tmp_path):
    path = tmp_path / "snapshot.json"
    await asyncio.gather(*(asyncio.to_thread(save, path, wire(n)) for n in range(1, 30)))
    assert read_snapshot(path.read_bytes()).version >= 1
    assert os.listdir(tmp_path) == [path.name]


async def test_the_kill_switch_works_while_running_and_at_the_start(feed, tmp_path):
    save(tmp_path / "run" / "snapshot.json", wire(7, tenths=1000))
    switch = anyio.Path(tmp_path / "panic")
    await switch.touch()
    await feed.start()
    assert feed.current.stage("lab_orders", USER) is Stage.LEGACY

    async def stage_is(stage: Stage) -> object:
        return feed.current.stage("lab_orders", USER) is stage

    await switch.unlink()
    await until_async(lambda: stage_is(Stage.LIVE))
    await switch.touch()
    await until_async(lambda: stage_is(Stage.LEGACY))
    feed.offer(wire(8, tenths=1000), Source.PUSH)
    assert feed.current.version == 8
    assert feed.current.stage("lab_orders", USER) is Stage.LEGACY, "a new version lifts no panic"
