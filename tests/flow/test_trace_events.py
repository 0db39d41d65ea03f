"""A correlation id in the event log, read from its end."""

from datetime import UTC, datetime, timedelta

import pytest
from typing_extensions import override

from catalog.stage import Side
from migration.trace.events import read_events
from migration.trace.timeline import Findings, What
from runtime.eventlog.errors import LogUnavailable
from runtime.eventlog.memory import MemoryLog
from runtime.eventlog.protocol import Position
from runtime.intent import TOPIC, Closed, Intent, Outcome, Said, Settled, encode, stream_key
from runtime.serviceevent import ServiceEvent, log_key, topic_of
from runtime.serviceevent import encode as encode_event

pytestmark = pytest.mark.flow

ID = "corr-12345678"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class World:
    """A log whose clock the test moves."""

    def __init__(self) -> None:
        self.seconds = START.timestamp()
        self.log = MemoryLog(clock=lambda: self.seconds)

    async def say(self, intent: Intent, *said: Said) -> None:
        await self.log.create(TOPIC)
        for one in said:
            await self.log.append(TOPIC, stream_key(intent), encode(one))
            self.seconds += 1

    async def find(self, *, since: datetime = START, most: int = 100_000) -> Findings:
        findings = Findings()
        await read_events(self.log, findings, ID, since=since, most=most)
        return findings


def intent(id_: str = "i1", *, key: str | None = "k1", correlation_id: str = ID) -> Intent:
    return Intent(
        id=id_,
        entity="partner_label_queue",
        key=None if key is None else (key,),
        authority=Side.LEGACY,
        scope="",
        user="tag",
        epoch=3,
        correlation_id=correlation_id,
        grace_seconds=30,
    )


def kinds(findings: Findings) -> list[tuple[What, str, str | None]]:
    lines = sorted(findings.lines, key=lambda line: line.at)
    return [(line.what, line.word, line.key) for line in lines]


async def test_a_write_and_its_ends_which_carry_no_correlation_id() -> None:
    world = World()
    for number in range(50):
        other = intent(f"x{number}", correlation_id="corr-00000000")
        await world.say(other, other, Closed(id=other.id, outcome=Outcome.APPLIED))
    mine = intent()
    await world.say(mine, mine, Closed(id="i1", outcome=Outcome.APPLIED), Settled(id="i1"))
    found = await world.find()
    assert kinds(found) == [
        (What.ANNOUNCED, "", "k1"),
        (What.CLOSED, "applied", "k1"),
        (What.SETTLED, "", "k1"),
    ]
    assert {line.where for line in found.lines} == {"log mirror"}
    assert found.lines[0].at == START + timedelta(seconds=100)


async def test_a_number_that_the_outcome_brings_is_the_writes_key() -> None:
    world, mine = World(), intent(key=None)
    await world.say(mine, mine)
    assert kinds(await world.find()) == [(What.ANNOUNCED, "", None)]
    await world.say(mine, Closed(id="i1", outcome=Outcome.APPLIED, key=("7",)))
    assert [key for _, _, key in kinds(await world.find())] == ["7", "7"]


async def test_what_is_older_and_what_is_too_much_is_not_read_and_that_is_said() -> None:
    world, mine = World(), intent()
    await world.say(mine, mine, *[Settled(id="x")] * 9)
    later = START + timedelta(seconds=1)
    assert len((await world.find()).lines) == 1
    old = await world.find(since=later)
    assert (old.lines, old.looked[0].extent) == ([], "9 entries since 2026-03-01T12:00:01Z")
    cut = await world.find(most=8 * 8)
    assert cut.lines == []
    assert cut.looked[0].extent.endswith("8 entries since 2026-03-01T12:00:00Z, the newest alone")


async def test_events_of_services_and_entries_of_others() -> None:
    world = World()
    topic = topic_of("lab_orders")
    await world.log.create(topic)

    def event(id_: str, correlation_id: str | None) -> ServiceEvent:
        return ServiceEvent(
            id=id_,
            type="banyan.lab_orders.updated",
            service="diagnostics",
            entity="lab_orders",
            key=(id_,),
            subject=id_,
            updated_at="2026-03-01T12:00:00.000001+00:00",
            origin="service",
            row_version=2,
            seen_at=None,
            correlation_id=correlation_id,
            time="2026-03-01T12:00:00.000002+00:00",
        )

    for one in (event("e1", "corr-00000000"), event("e2", ID), event("e3", None)):
        await world.log.append(topic, log_key(one), encode_event(one))
    await world.log.append(topic, b"", b"of tomorrow")
    found = await world.find()
    assert kinds(found) == [(What.PUBLISHED, "updated", "e2")]
    assert found.lines[0].where == "log service.lab_orders"
    assert [(one.where, one.extent.split()[0]) for one in found.looked] == [
        ("log mirror", "0"),
        ("log service.*", "4"),
    ]


class Silent(MemoryLog):
    @override
    async def end(self, topic: str) -> list[Position]:
        raise LogUnavailable("ConnectionError")


async def test_a_log_that_is_away_is_named() -> None:
    findings = Findings()
    await read_events(Silent(), findings, ID, since=START, most=1)
    [looked] = findings.looked
    assert (looked.where, looked.trouble) == ("log", "LogUnavailable")
