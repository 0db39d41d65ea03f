"""The feed over a Valkey that is really killed and started again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from benchmarks.own_valkey import OwnValkey, own_valkey
from catalog.stage import Stage
from runtime.documentfeed import Source
from runtime.flagchange import Ramp, apply
from runtime.flagfeed import FlagFeed
from runtime.flagset import Scope, first_flag_set, write_flag_set
from runtime.flagsnapshot import FlagUser, write_snapshot
from runtime.flagstore import CHANNEL, KEY, VERSION_KEY
from tests.patient import patient
from tests.until import until_async

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
USER = FlagUser(sub="0f0f0f0f-0000-4000-8000-000000000001")
NEVER = 3600.0


@pytest.fixture
def valkey(tmp_path):
    with own_valkey(tmp_path / "valkey") as started:
        yield started


@asynccontextmanager
async def feeding(url: str, folder: Path, *, poll: float = NEVER) -> AsyncIterator[FlagFeed]:
    feed = FlagFeed(
        redis_url=url,
        flags_file=ROOT / "config/flags.json",
        snapshot_file=folder / "snapshot.json",
        kill_switch_file=folder / "panic",
        poll_seconds=poll,
    )
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


def wire(version: int, tenths: int = 0) -> bytes:
    change = Ramp(scope=Scope(entity="lab_orders"), stage=Stage.LIVE, tenths=tenths)
    flag_set = apply(first_flag_set(Stage.COMPLETE), change).flag_set
    return write_snapshot(write_flag_set(flag_set), version=version, store="s")


async def put(valkey: OwnValkey, version: int, tenths: int = 0) -> None:
    """As the store publishes it, but without the message."""
    client = patient(valkey.url)
    await client.mset({KEY: wire(version, tenths), VERSION_KEY: f"s {version}"})
    await client.aclose()


async def push(valkey: OwnValkey, message: bytes) -> int:
    """The message alone, to whoever listens now; answers how many that were."""
    client = patient(valkey.url)
    count = int(await client.publish(CHANNEL, message))
    await client.aclose()
    return count


async def until(condition: Callable[[], object]) -> None:
    async def asked() -> object:
        return condition()

    await until_async(asked)


def has_version(feed: FlagFeed, version: int) -> bool:
    return feed.current.version == version


async def listening(valkey: OwnValkey, version: int) -> None:
    """Push until somebody has heard it."""

    async def heard() -> bool:
        return await push(valkey, wire(version)) > 0

    await until_async(heard)


async def test_the_start_takes_what_redis_holds(valkey, tmp_path):
    await put(valkey, 3, 1000)
    async with feeding(valkey.url, tmp_path) as feed:
        assert (feed.current.version, feed.source) == (3, Source.POLL)
        assert feed.current.stage("lab_orders", USER) is Stage.LIVE


async def test_what_is_pushed_counts_without_a_poll(valkey, tmp_path):
    async with feeding(valkey.url, tmp_path) as feed:
        await listening(valkey, 3)
        await until(lambda: feed.current.version == 3)
        assert feed.source is Source.PUSH
        assert feed.counts.pushes >= 1


async def test_what_no_message_told_is_polled(valkey, tmp_path):
    async with feeding(valkey.url, tmp_path, poll=0.05) as feed:
        await put(valkey, 3)
        await until(lambda: feed.current.version == 3)
        assert feed.source is Source.POLL
        polls = feed.counts.polls
        await until(lambda: feed.counts.polls > polls + 3)
        assert feed.counts.applied == 1
        assert feed.staleness_seconds < 5


async def test_garbage_in_redis_is_refused_once_and_good_news_still_come(valkey, tmp_path):
    await put(valkey, 3)
    async with feeding(valkey.url, tmp_path, poll=0.05) as feed:
        client = patient(valkey.url)
        await client.mset({KEY: b"garbage", VERSION_KEY: "s 4"})
        await until(lambda: feed.counts.refused)
        polls = feed.counts.polls
        await until(lambda: feed.counts.polls > polls + 3)
        assert (feed.counts.refused, feed.current.version) == (1, 3)
        await client.mset({KEY: b"garbage", VERSION_KEY: b"\xff\xfe nonsense"})
        await put(valkey, 5)
        await until(lambda: feed.current.version == 5)
        await client.aclose()


async def test_after_a_kill_the_feed_listens_again_and_missed_nothing(valkey, tmp_path):
    await put(valkey, 1, 1000)
    async with feeding(valkey.url, tmp_path) as feed:
        for version in (2, 3, 4):
            await listening(valkey, version - 1)
            valkey.kill()
            await until(lambda: feed.counts.lost)
            assert feed.current.stage("lab_orders", USER)
            valkey.start()
            await put(valkey, version)  # told to nobody, and the poll is an hour away
            await until(partial(has_version, feed, version))
        await listening(valkey, 9)
        await until(lambda: feed.current.version == 9)


async def test_the_listener_survives_what_uvloop_raises(valkey, tmp_path, monkeypatch):
    """With uvloop a connection that dies at the wrong moment is a RuntimeError, not a ConnectionError."""
    subscribed = FlagFeed._subscribed
    failures = 0

    async def fails_at_first(feed: FlagFeed) -> None:
        nonlocal failures
        if failures < 2:
            failures += 1
            raise RuntimeError(
                "unable to perform operation on <TCPTransport>; the handler is closed"
            )
        await subscribed(feed)

    monkeypatch.setattr(FlagFeed, "_subscribed", fails_at_first)
    async with feeding(valkey.url, tmp_path) as feed:
        await listening(valkey, 3)
        await until(lambda: feed.current.version == 3)
        assert failures == 2


async def test_while_redis_is_dead_answers_stay_and_staleness_grows(valkey, tmp_path):
    await put(valkey, 1, 1000)
    async with feeding(valkey.url, tmp_path, poll=0.05) as feed:
        valkey.kill()
        await until(lambda: feed.counts.lost)
        before = feed.staleness_seconds
        await until(lambda: feed.staleness_seconds > before + 0.3)
        assert feed.current.stage("lab_orders", USER) is Stage.LIVE
        (tmp_path / "panic").touch()
        await until(lambda: feed.current.stage("lab_orders", USER) is Stage.LEGACY)


async def test_a_cold_start_without_redis_serves_from_the_disk(valkey, tmp_path):
    await put(valkey, 7, 1000)
    async with feeding(valkey.url, tmp_path):
        await until((tmp_path / "snapshot.json").exists)
    valkey.kill()
    async with feeding(valkey.url, tmp_path) as feed:
        assert (feed.current.version, feed.source) == (7, Source.DISK)
        assert feed.current.stage("lab_orders", USER) is Stage.LIVE
        valkey.start()
        await until(lambda: feed.source is Source.POLL)


@asynccontextmanager
async def serving(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]],
) -> AsyncIterator[str]:
    """A server that talks like that on every connection; its URL as a Redis."""
    talks: set[asyncio.Task[object]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await talk(reader, writer)
        finally:
            writer.close()
            talks.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    server.close()
    while talks:
        await asyncio.wait(talks)


async def test_a_redis_that_accepts_and_never_answers_delays_the_start_a_second_at_most(tmp_path):
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass

    async with serving(swallow) as url, asyncio.timeout(10), feeding(url, tmp_path) as feed:
        assert feed.source is Source.FILE


async def test_a_connection_that_died_silently_is_noticed(valkey, tmp_path):
    """As behind a firewall that forgot it: older connections pass nothing on any more, and stay open."""
    port = int(valkey.url.rpartition(":")[2].partition("/")[0])
    forgotten = False

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        born_before = not forgotten
        while data := await reader.read(65536):
            if not (born_before and forgotten):
                writer.write(data)
        writer.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, there_writer), pass_on(there_reader, writer))

    async with serving(proxy) as url, feeding(url, tmp_path) as feed:
        await listening(valkey, 2)
        await until(lambda: feed.current.version == 2)
        forgotten = True
        await put(valkey, 3)
        await until(lambda: feed.current.version == 3)
        assert feed.counts.lost == 1
