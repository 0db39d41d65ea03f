"""`Holdings`: which partitions a member holds, what of them it was given, and so what it may commit. No I/O.

What a member commits must have been delivered under the lease that it holds now. Else an entry polled before a seek, or
before another member had the partition meanwhile, would move the group over entries that nobody has worked on.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runtime.eventlog.protocol import Entry, Place, Position, TopicPartition


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One partition in one member's hand. `token` is another one each time that it is taken."""

    token: bytes
    committed: Position
    """The group's position when the lease was taken."""


def share_of(partitions: int, members: int) -> int:
    """Most partitions of a topic that each of so many members may hold."""
    return -(-partitions // max(members, 1))


@dataclass(kw_only=True)
class _Held:
    token: bytes
    committed: Position
    delivered: Position
    leaving_since: float | None = None

    @property
    def idle(self) -> bool:
        return self.committed == self.delivered


class Holdings:
    """Of one member."""

    def __init__(self) -> None:
        self._held: dict[TopicPartition, _Held] = {}
        self._turn = 0

    @property
    def partitions(self) -> frozenset[TopicPartition]:
        return frozenset(self._held)

    def holds(self, partition: TopicPartition, token: bytes) -> bool:
        """Whether it is still that lease."""
        held = self._held.get(partition)
        return held is not None and held.token == token

    def token(self, partition: TopicPartition) -> bytes:
        return self._held[partition].token

    def cursor(self, partition: TopicPartition) -> Position:
        """Behind which the next poll reads."""
        return self._held[partition].delivered

    def update(self, topic: str, leases: Mapping[int, Lease]) -> None:
        """What the log says that this member holds of a topic. A lease with a new token starts at the committed position."""
        for name, number in self.partitions:
            if name == topic and number not in leases:
                self.drop((name, number))
        for number, lease in leases.items():
            held = self._held.get((topic, number))
            if held is None or held.token != lease.token:
                self._held[topic, number] = _Held(
                    token=lease.token, committed=lease.committed, delivered=lease.committed
                )

    def drop(self, partition: TopicPartition) -> None:
        self._held.pop(partition, None)

    def surplus(
        self, topic: str, share: int, *, now: float, patience: float
    ) -> list[TopicPartition]:
        """What to give back now. What still has uncommitted entries is polled no more, and waited for `patience` seconds."""
        mine = sorted(partition for partition in self._held if partition[0] == topic)
        busy_last = sorted(mine, key=lambda partition: not self._held[partition].idle)
        give = busy_last[: max(len(mine) - share, 0)]
        for partition in mine:
            held = self._held[partition]
            if partition not in give:
                held.leaving_since = None
            elif held.leaving_since is None:
                held.leaving_since = now
        return [
            partition
            for partition in give
            if (held := self._held[partition]).idle
            or (held.leaving_since is not None and now - held.leaving_since >= patience)
        ]

    def active(self, paused: Collection[str]) -> list[TopicPartition]:
        """What is polled."""
        return sorted(
            partition
            for partition, held in self._held.items()
            if partition[0] not in paused and held.leaving_since is None
        )

    def turn(self, paused: Collection[str]) -> list[TopicPartition]:
        """`active`, another partition first each time."""
        active = self.active(paused)
        self._turn += 1
        first = self._turn % max(len(active), 1)
        return active[first:] + active[:first]

    def deliver(self, entries: Iterable[Entry]) -> None:
        """They go to the caller."""
        for entry in entries:
            self._held[entry.topic, entry.partition].delivered = entry.position

    def committable(
        self, done: Iterable[Entry | Place]
    ) -> tuple[dict[TopicPartition, Position], set[TopicPartition]]:
        """How far each partition may move, and which are not this member's to move."""
        furthest: dict[TopicPartition, Position] = {}
        for one in done:
            partition = (one.topic, one.partition)
            furthest[partition] = max(one.position, furthest.get(partition, one.position))
        moves = {
            partition: position
            for partition, position in furthest.items()
            if partition in self._held and position <= self._held[partition].delivered
        }
        return moves, furthest.keys() - moves.keys()

    def committed(self, partition: TopicPartition, position: Position) -> None:
        held = self._held[partition]
        held.committed = max(held.committed, position)


def per_partition(max_entries: int, partitions: int) -> int:
    """How many entries of each partition a poll asks for."""
    return max(1, max_entries // max(partitions, 1))


def dealt(fetched: Iterable[Sequence[Entry]], max_entries: int) -> Iterator[Entry]:
    """At most so many of what was fetched, partition by partition."""
    left = max_entries
    for entries in fetched:
        yield from entries[:left]
        left -= len(entries[:left])
