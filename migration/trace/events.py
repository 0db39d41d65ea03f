"""What the event log holds of one correlation id: the mirror stream, and what services have published. From the newest entry back."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog import assets
from catalog.stage import Side
from migration.trace.timeline import Findings, Line, What
from routes.key import write_key
from runtime.eventlog.errors import EventLogError, UnknownTopic
from runtime.eventlog.protocol import Entry, EventLog, Position
from runtime.intent import TOPIC, Closed, Intent, NotSaid, Settled, decode
from runtime.serviceevent import NotAnEvent, topic_of
from runtime.serviceevent import decode as decode_event

LOG = "log"
_PAGE = 1_000


def where_of(topic: str) -> str:
    return f"{LOG} {topic}"


async def read_events(
    log: EventLog, findings: Findings, correlation_id: str, *, since: datetime, most: int
) -> None:
    """`most`: entries of a topic."""
    try:
        mirrored = await _newest(log, TOPIC, since, most)
        findings.add(_mirror(mirrored.entries, correlation_id))
        _look(findings, TOPIC, [mirrored], since)
        published = [await _newest(log, topic_of(one), since, most) for one in assets()]
        for found in published:
            findings.add(_published(found.entries, correlation_id))
        _look(findings, topic_of("*"), published, since)
    except EventLogError as error:
        findings.look(LOG, "topics", type(error.__cause__ or error).__name__)


@dataclass(frozen=True, kw_only=True)
class _Newest:
    entries: Sequence[Entry] = ()
    cut: bool = False
    """There may be older ones that were not read."""


def _look(findings: Findings, topic: str, found: Sequence[_Newest], since: datetime) -> None:
    count = sum(len(one.entries) for one in found)
    cut = ", the newest alone" if any(one.cut for one in found) else ""
    findings.look(where_of(topic), f"{count:,} entries since {since:%Y-%m-%dT%H:%M:%SZ}{cut}")


async def _newest(log: EventLog, topic: str, since: datetime, most: int) -> _Newest:
    """Not older than `since`, as far as `most` goes; nothing of a topic that nobody has made."""
    try:
        partitions = len(await log.end(topic))
    except UnknownTopic:
        return _Newest()
    share = -(-most // partitions)
    parts = await asyncio.gather(
        *(_back(log, topic, number, since, share) for number in range(partitions))
    )
    entries = [entry for part in parts for entry in part]
    return _Newest(entries=entries, cut=any(len(part) >= share for part in parts))


async def _back(
    log: EventLog, topic: str, partition: int, since: datetime, most: int
) -> list[Entry]:
    found: list[Entry] = []
    before: Position | None = None
    while len(found) < most:
        wanted = min(_PAGE, most - len(found))
        page = await log.read_back(topic, partition, before=before, limit=wanted)
        found += [entry for entry in page if entry.at >= since]
        if len(page) < wanted or page[-1].at < since:
            break
        before = page[-1].position
    return found


def _mirror(entries: Sequence[Entry], correlation_id: str) -> Iterator[Line]:
    """Ends carry the intent's id alone; so do lines of one write find each other."""
    announced: list[tuple[Entry, Intent]] = []
    ends: dict[str, list[tuple[Entry, Closed | Settled]]] = defaultdict(list)
    for entry in entries:
        try:
            said = decode(entry.value)
        except NotSaid:
            continue  # of a later form: the mirror names those
        if not isinstance(said, Intent):
            ends[said.id].append((entry, said))
        elif said.correlation_id == correlation_id:
            announced.append((entry, said))
    for entry, intent in announced:
        own = ends[intent.id]
        brought = next((s.key for _, s in own if isinstance(s, Closed) and s.key), None)
        key = intent.key or brought
        text = None if key is None else write_key(key)
        yield _said(entry, What.ANNOUNCED, "", intent, text)
        for end, said in own:
            if isinstance(said, Closed):
                yield _said(end, What.CLOSED, said.outcome, intent, text)
            else:
                yield _said(end, What.SETTLED, "", intent, text)


def _said(entry: Entry, what: What, word: str, intent: Intent, key: str | None) -> Line:
    return Line(
        at=entry.at,
        where=where_of(entry.topic),
        what=what,
        word=word,
        entity=intent.entity,
        key=key,
        origin=intent.authority,
        intent=intent.id,
        facts={"intent": intent.id, "epoch": intent.epoch},
    )


def _published(entries: Sequence[Entry], correlation_id: str) -> Iterator[Line]:
    for entry in entries:
        try:
            event = decode_event(entry.value)
        except NotAnEvent:
            continue  # not ours
        if event.correlation_id == correlation_id:
            yield Line(
                at=entry.at,
                where=where_of(entry.topic),
                what=What.PUBLISHED,
                word=event.type.rpartition(".")[2],
                entity=event.entity,
                key=event.subject,
                origin=Side(event.origin),
                facts={"row_version": event.row_version, "updated_at": event.updated_at},
            )
