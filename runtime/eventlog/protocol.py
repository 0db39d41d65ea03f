"""What an event log promises, whatever keeps it. The words and the rules are Kafka's, so that Kafka is one of them.

A topic has a fixed number of partitions. Entries of one key lie in one partition (partitioner.py), in the order in which
they were appended. An append that returned survives a crash of the engine; one that raised may have happened or not, so
appends are at least once. A group has one committed position per partition, and its members share the partitions by leases:
who loses a lease cannot commit any more, and who gets it begins behind the committed position. So nothing is skipped, and
what was polled and not committed comes again. Effects must therefore bear repetition.

Entries carry keys and version stamps, never column values (docs/decisions.md 23).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, NewType, Protocol, TypeAlias

Position = NewType("Position", int)
"""Opaque, and ordered inside its partition. Store it as decimal text: it may need more than 64 bits."""

BEGINNING: Final = Position(0)
"""Before the first entry of any partition."""

NO_HEADERS: Final[Mapping[str, bytes]] = MappingProxyType({})
LARGEST_BYTES: Final = 1_040_000
"""Key, value and headers of an entry together: what Kafka takes without being told to."""

MOST_HEADERS: Final = 100

TopicPartition: TypeAlias = tuple[str, int]


GATHER_SECONDS: Final = 0.02
"""Who follows a topic rests so long behind what it was given: what comes meanwhile comes at once, for the price of one."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is to be appended."""

    topic: str
    key: bytes
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an entry lies."""

    topic: str
    partition: int
    position: Position


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What was appended. `at` is the log's clock (Kafka: the appender's), to the millisecond; it orders nothing."""

    topic: str
    partition: int
    position: Position
    key: bytes
    value: bytes
    headers: Mapping[str, bytes]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What a topic holds, for an alarm before memory ends. A topic without a group has nothing unconsumed."""

    entries: int
    unconsumed: int
    """Entries behind the slowest group's positions."""
    oldest_seconds: float | None
    """Age of the oldest unconsumed entry; None if there is none."""


Start: TypeAlias = Literal["start", "end"]
Target: TypeAlias = Literal["start", "end"] | datetime | Mapping[int, Position]
"""Where a group is to go on: before everything, behind everything, at the first entry of that time or later,
or behind these positions (of the partitions that are named)."""


class Consumer(Protocol):
    """One member of a group. Not for several tasks at once: poll, do, commit, poll."""

    @property
    def partitions(self) -> frozenset[TopicPartition]:
        """What this member holds, as far as it knows."""
        ...

    async def poll(self, max_entries: int = 100, wait_seconds: float = 0.0) -> list[Entry]:
        """The next entries of its partitions, in order per partition, each partition in its turn; never the same twice
        while it keeps the lease. Waits for the first one. Raises UnknownTopic, LogUnavailable."""
        ...

    async def commit(self, done: Iterable[Entry | Place]) -> None:
        """The group's positions move behind these, never back. Everything before them in their partitions must be done, too.

        Raises Fenced for partitions that were lost since they were polled (the others have been committed), LogUnavailable.
        """
        ...

    def pause(self, topic: str) -> None:
        """Polls leave it out; the leases stay."""
        ...

    def resume(self, topic: str) -> None: ...


class EventLog(Protocol):
    """Every method may raise LogUnavailable, and UnknownTopic but for `create`."""

    async def create(self, topic: str, *, partitions: int | None = None) -> int:
        """Make it unless it is there; its number of partitions (None: the log's default). Raises PartitionMismatch."""
        ...

    async def append(
        self, topic: str, key: bytes, value: bytes, *, headers: Mapping[str, bytes] = NO_HEADERS
    ) -> Place:
        """Returns when the entry is durable. Raises NotDurable, PartitionMismatch; ValueError if it is too large."""
        ...

    async def append_many(self, messages: Sequence[Message]) -> list[Place]:
        """`append` of each, in order. If it raises, some of them may be there."""
        ...

    def consumer(
        self,
        group: str,
        topics: Iterable[str],
        *,
        member: str = "member",
        start: Start = "start",
    ) -> AbstractAsyncContextManager[Consumer]:
        """Join a group; leaving the context gives its partitions back at once.

        `member` is for people: each call is a member of its own. `start` is where a group that is new to a topic begins.
        """
        ...

    async def read(
        self,
        topic: str,
        after: Mapping[int, Position],
        *,
        limit: int = 100,
        wait_seconds: float = 0.0,
    ) -> list[Entry]:
        """Entries behind these positions of these partitions, without a group, at most `limit` of each; waits for the first one.

        In order per partition. Raises PositionLost.
        """
        ...

    async def read_back(
        self, topic: str, partition: int, *, before: Position | None = None, limit: int = 100
    ) -> list[Entry]:
        """Entries in front of a position (None: the newest ones), newest first. What was trimmed meanwhile is not there."""
        ...

    async def end(self, topic: str) -> list[Position]:
        """Per partition the newest entry's position: whoever has read until there has read all that was there."""
        ...

    async def groups(self, topic: str) -> frozenset[str]:
        """Who keeps entries from being trimmed."""
        ...

    async def lag(self, group: str, topic: str) -> list[int]:
        """Per partition the number of entries behind the group's position. Raises UnknownGroup."""
        ...

    async def seek(self, group: str, topic: str, to: Target) -> None:
        """Move a group, by hand. Whoever holds a partition loses it: polls begin anew, older commits are Fenced.

        A position behind the end means the end. Raises UnknownGroup.
        """
        ...

    async def forget(self, group: str, topic: str) -> None:
        """Its positions are gone, and it keeps nothing from being trimmed. Raises UnknownGroup, GroupInUse."""
        ...

    async def trim(self, topic: str, *, keep_seconds: float, ungrouped: bool = False) -> int:
        """Remove what is older and committed by every group; how many entries.

        Without any group nothing is removed, unless `ungrouped` says that the topic is read without groups: then by age.
        """
        ...

    async def backlog(self, topic: str) -> Backlog:
        """How much there is, and how long it has waited."""
        ...

    async def close(self) -> None:
        """Ends what is under way; consumers are closed before."""
        ...


def check_message(message: Message) -> None:
    """Raises ValueError; of a message that is too large it says the size, nothing else."""
    headers = message.headers
    size = (
        len(message.key)
        + len(message.value)
        + sum(map(len, headers))
        + sum(map(len, headers.values()))
    )
    if size > LARGEST_BYTES:
        raise ValueError(f"an entry of {size} bytes; {LARGEST_BYTES} is the most")
    if len(headers) > MOST_HEADERS:
        raise ValueError(f"an entry with {len(headers)} headers; {MOST_HEADERS} is the most")


def check_partitions(topic: str, wanted: Iterable[int], count: int) -> None:
    """Raises ValueError for one that the topic does not have."""
    for partition in wanted:
        if not 0 <= partition < count:
            raise ValueError(f"topic {topic} has no partition {partition}")


def check_name(name: str) -> str:
    """A topic's or a group's name, as Kafka allows it. Raises ValueError."""
    if not (
        0 < len(name) < 250
        and name.isascii()
        and name.replace("_", "").replace("-", "").replace(".", "").isalnum()
    ):
        raise ValueError("a topic or group is named by letters, digits, '.', '_' and '-'")
    return name
