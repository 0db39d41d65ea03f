"""`Lifecycle`: the states of a resource's rows and the ways between them, as data. Pure.

Services refuse every other way (409, with the legal ones); legacy has no such rule, so rows that come from there may
be in any state. What a state fills in is the same on both sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Fill(StrEnum):
    """Where a value comes from that nobody names."""

    NOW = "now"
    CALLER = "caller"
    PARTNER = "partner"
    """The caller's own partner; nobody else can write such a row."""
    KEY = "key"
    """The row's own key."""


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    """`ways` has every state; a state without ways is final. To stay in a state is no way, and always allowed."""

    column: str
    start: tuple[str, ...]
    """States in which a row may begin."""
    ways: Mapping[str, tuple[str, ...]]
    fills: Mapping[str, Mapping[str, Fill]] = field(default_factory=dict)
    """By state: columns that get a value when a row comes into it and the caller names none."""

    def allows(self, before: str, after: str) -> bool:
        return before == after or after in self.ways[before]
