"""`MemoryTopic`: one topic of `MemoryLog`, with its groups. No I/O and no clock of its own: `now` comes in, in seconds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from runtime.eventlog.errors import GroupInUse, UnknownGroup
from runtime.eventlog.holdings import Lease, share_of
from runtime.eventlog.protocol import BEGINNING, Backlog, Entry, Message, Position, Start, Target


@dataclass(kw_only=True)
class _Group:
    positions: list[Position]
    members: dict[str, float] = field(default_factory=dict)
    """Member -> until when it counts."""
    leases: dict[int, tuple[bytes, float]] = field(default_factory=dict)
    """Partition -> token (<member>/<number>), and until when it holds."""


class MemoryTopic:
    """Positions are 1, 2, 3, ... in each partition."""

    def __init__(self, name: str, partitions: int) -> None:
        self.name = name
        self.entries: list[list[Entry]] = [[] for _ in range(partitions)]
        self.ends = [BEGINNING] * partitions
        self._groups: dict[str, _Group] = {}
        self._tokens = 0

    @property
    def partitions(self) -> int:
        return len(self.ends)

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(self._groups)

    def append(self, message: Message, partition: int, now: float) -> Position:
        position = self.ends[partition] = Position(self.ends[partition] + 1)
        milliseconds = int(now * 1000)
        entry = Entry(
            topic=self.name,
            partition=partition,
            position=position,
            key=message.key,
            value=message.value,
            headers=dict(message.headers),
            at=datetime.fromtimestamp(milliseconds / 1000, UTC),
        )
        self.entries[partition].append(entry)
        return position

    def behind(self, partition: int, after: Position, limit: int | None = None) -> list[Entry]:
        """What is there behind a position."""
        held = self.entries[partition]
        first = len(held) - self.count_behind(partition, after)
        return held[first : None if limit is None else first + limit]

    def in_front(self, partition: int, before: Position | None, limit: int) -> list[Entry]:
        """What is there in front of a position, newest first."""
        held = self.entries[partition]
        end = len(held)
        if before is not None:
            end -= self.count_behind(partition, Position(before - 1))
        return held[max(end - limit, 0) : end][::-1]

    def count_behind(self, partition: int, after: Position) -> int:
        return max(0, min(self.ends[partition] - after, len(self.entries[partition])))

    def tend(
        self, group_name: str, member: str, start: Start, *, now: float, lease_seconds: float
    ) -> tuple[int, dict[int, Lease]]:
        """Renew a member's leases, take what is free up to its share: the share, and what it holds now."""
        group = self._groups.get(group_name)
        if group is None:
            positions = list(self.ends) if start == "end" else [BEGINNING] * self.partitions
            group = self._groups[group_name] = _Group(positions=positions)
        _expire(group, now)
        group.members[member] = now + lease_seconds
        share = share_of(self.partitions, len(group.members))
        mine = [number for number, (token, _) in group.leases.items() if _is_of(member, token)]
        free = [number for number in range(self.partitions) if number not in group.leases]
        for number in free[: max(share - len(mine), 0)]:
            self._tokens += 1
            group.leases[number] = (f"{member}/{self._tokens}".encode(), now)
            mine.append(number)
        for number in mine:
            group.leases[number] = (group.leases[number][0], now + lease_seconds)
        return share, {
            number: Lease(token=group.leases[number][0], committed=group.positions[number])
            for number in sorted(mine)
        }

    def holder(self, group_name: str, partition: int, now: float) -> bytes | None:
        """The token that holds now."""
        group = self._groups.get(group_name)
        if group is None:
            return None
        _expire(group, now)
        return group.leases.get(partition, (None, 0.0))[0]

    def release(self, group_name: str, partition: int, token: bytes) -> None:
        group = self._groups.get(group_name)
        if group is not None and group.leases.get(partition, (b"", 0.0))[0] == token:
            del group.leases[partition]

    def leave(self, group_name: str, member: str) -> None:
        group = self._groups.get(group_name)
        if group is None:
            return
        group.members.pop(member, None)
        for number, (token, _) in list(group.leases.items()):
            if _is_of(member, token):
                del group.leases[number]

    def commit(
        self, group_name: str, moves: Iterable[tuple[int, bytes, Position]], now: float
    ) -> set[int]:
        """Partition, token and position of each; answers the partitions that are not the caller's."""
        fenced = set()
        for partition, token, position in moves:
            if self.holder(group_name, partition, now) != token:
                fenced.add(partition)
                continue
            positions = self._groups[group_name].positions
            positions[partition] = max(positions[partition], position)
        return fenced

    def lag(self, group_name: str) -> list[int]:
        positions = self._group(group_name).positions
        return [self.count_behind(number, position) for number, position in enumerate(positions)]

    def seek(self, group_name: str, to: Target) -> None:
        group = self._group(group_name)
        for number, position in self._targets(to).items():
            group.positions[number] = position
            group.leases.pop(number, None)

    def _targets(self, to: Target) -> Mapping[int, Position]:
        numbers = range(self.partitions)
        if to == "start":
            return dict.fromkeys(numbers, BEGINNING)
        if to == "end":
            return dict(enumerate(self.ends))
        if isinstance(to, datetime):
            return {number: self._until(number, to.timestamp()) for number in numbers}
        if any(number not in numbers for number in to):
            raise ValueError(f"the topic has {self.partitions} partitions, numbered from 0")
        return {number: min(position, self.ends[number]) for number, position in to.items()}

    def forget(self, group_name: str, now: float) -> None:
        group = self._group(group_name)
        _expire(group, now)
        if group.members:
            raise GroupInUse(group_name, self.name)
        del self._groups[group_name]

    def trim(self, before: float, *, ungrouped: bool) -> int:
        """Remove what is older than a moment and committed by all."""
        if not self._groups and not ungrouped:
            return 0
        removed = 0
        for number, held in enumerate(self.entries):
            marks = [group.positions[number] for group in self._groups.values()]
            floor = min([self._until(number, before), *marks])
            kept = self.behind(number, floor)
            removed += len(held) - len(kept)
            self.entries[number] = kept
        return removed

    def backlog(self, now: float) -> Backlog:
        unconsumed = [
            entry
            for number in range(self.partitions)
            for entry in self.behind(
                number,
                min(
                    (group.positions[number] for group in self._groups.values()),
                    default=self.ends[number],
                ),
            )
        ]
        oldest = min((entry.at.timestamp() for entry in unconsumed), default=None)
        return Backlog(
            entries=sum(map(len, self.entries)),
            unconsumed=len(unconsumed),
            oldest_seconds=None if oldest is None else now - oldest,
        )

    def _until(self, partition: int, moment: float) -> Position:
        """The position before the first entry of that moment or later."""
        for entry in self.entries[partition]:
            if entry.at.timestamp() >= moment:
                return Position(entry.position - 1)
        return self.ends[partition]

    def _group(self, name: str) -> _Group:
        if name not in self._groups:
            raise UnknownGroup(name, self.name)
        return self._groups[name]


def _expire(group: _Group, now: float) -> None:
    group.members = {member: until for member, until in group.members.items() if until > now}
    group.leases = {number: lease for number, lease in group.leases.items() if lease[1] > now}


def _is_of(member: str, token: bytes) -> bool:
    return token.startswith(f"{member}/".encode())
