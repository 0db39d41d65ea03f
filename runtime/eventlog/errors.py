"""What an event log refuses, and what it cannot say. No error holds a key, a value or a header.

EventLogError
  UnknownTopic         nobody has created it (or the log was emptied)
  UnknownGroup         it never consumed this topic, or was forgotten
  GroupInUse           it has members now, so it cannot be forgotten
  PartitionMismatch    the topic was created with another number of partitions; `held` is the log's
  PositionLost         what stood behind this position was trimmed away, or the log was emptied: begin anew
  Fenced               other members may hold these `partitions` now; nothing of them was committed
  Unsuitable           the engine is set up so that it loses what it has taken; `why` is a word, the text says how to cure it
  LogUnavailable       the engine did not answer as it should. An append may have happened or not
    NotDurable         it answered, but did not confirm that the entry would survive its crash
"""

from collections.abc import Iterable


class EventLogError(Exception):
    """Base of this tree."""


class UnknownTopic(EventLogError):
    """Create it first."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"there is no topic {topic}")
        self.topic = topic


class UnknownGroup(EventLogError):
    """A group is registered when it first consumes."""

    def __init__(self, group: str, topic: str) -> None:
        super().__init__(f"group {group} does not consume {topic}")
        self.group = group
        self.topic = topic


class GroupInUse(EventLogError):
    """Stop its members first."""

    def __init__(self, group: str, topic: str) -> None:
        super().__init__(f"group {group} has members that consume {topic}")
        self.group = group
        self.topic = topic


class PartitionMismatch(EventLogError):
    """With another number a key's entries would lie in two partitions, and their order would be lost."""

    def __init__(self, topic: str, *, held: int, wanted: int) -> None:
        super().__init__(
            f"topic {topic} has {held} partitions, and this process is configured for {wanted}:"
            f" set EVENT_LOG_PARTITIONS to {held}"
        )
        self.topic = topic
        self.held = held
        self.wanted = wanted


class PositionLost(EventLogError):
    """A reader without a group may have missed entries."""

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(f"entries of {topic}/{partition} behind this position are gone")
        self.topic = topic
        self.partition = partition


class Fenced(EventLogError):
    """Partitions that this member does not hold any more, or not since it polled what it commits."""

    def __init__(self, partitions: Iterable[tuple[str, int]]) -> None:
        self.partitions = frozenset(partitions)
        names = ", ".join(f"{topic}/{number}" for topic, number in sorted(self.partitions))
        super().__init__(f"not held any more: {names}")


class Unsuitable(EventLogError):
    """Change the engine's settings. `why`: `not_durable` or `evicts`."""

    def __init__(self, why: str, cure: str) -> None:
        super().__init__(cure)
        self.why = why


class LogUnavailable(EventLogError):
    """`reason` is the class of what the client raised, or a word of ours."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the event log cannot be used ({reason})")
        self.reason = reason


class NotDurable(LogUnavailable):
    """Do not acknowledge what depends on the entry; append it again, or give up."""
