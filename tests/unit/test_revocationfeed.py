"""The feed of revocations without Redis: what it begins with. All else is tests/unit/test_flagfeed.py's: they share it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime import settings
from runtime.documentfeed import Source, save
from runtime.revocationfeed import RevocationFeed
from runtime.revocations import Kind, write_revocations
from tests.until import until_async

pytestmark = pytest.mark.unit


def wire(version: int, *users: str, store: str = "a") -> bytes:
    return write_revocations([(Kind.SUB, user) for user in users], version=version, store=store)


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[RevocationFeed]:
    feed = RevocationFeed(redis_url=None, snapshot_file=tmp_path / "revocations.json")
    yield feed
    await feed.stop()


async def test_to_begin_with_nobody_is_revoked(feed: RevocationFeed) -> None:
    assert feed.current.size == 0, "already before the start: a verifier may ask at any time"
    await feed.start()
    assert (feed.source, feed.current.size, feed.current.version) == (Source.FILE, 0, 0)


async def test_the_disk_remembers_who_is(feed: RevocationFeed, tmp_path: Path) -> None:
    save(tmp_path / "revocations.json", wire(3, "somebody"))
    await feed.start()
    assert (feed.source, feed.current.version) == (Source.DISK, 3)
    assert feed.current.cover(sub="somebody", session_id="", jti="")


async def test_garbage_on_the_disk_is_counted_and_stops_nobody(
    feed: RevocationFeed, tmp_path: Path
) -> None:
    (tmp_path / "revocations.json").write_bytes(b'{"store": "a", "version": 1, "document": {}}')
    await feed.start()
    assert (feed.source, feed.counts.refused, feed.current.size) == (Source.FILE, 1, 0)


async def test_newer_lists_replace_older_ones_and_are_saved(
    feed: RevocationFeed, tmp_path: Path
) -> None:
    await feed.start()
    assert feed.offer(wire(2, "one"), Source.PUSH)
    assert not feed.offer(wire(1, "two"), Source.PUSH)
    assert not feed.offer(b"garbage", Source.PUSH)
    assert feed.current.subs == {"one"}

    async def saved() -> bool:
        return (tmp_path / "revocations.json").exists()

    await until_async(saved)


def test_each_process_has_it_beside_its_flags(tmp_path: Path) -> None:
    flags = tmp_path / "gateway1.snapshot.json"
    found = RevocationFeed.of(settings.load(profile="sandbox", flags_snapshot_file=flags))
    assert found._snapshot_file == tmp_path / "gateway1.snapshot.revocations.json"
