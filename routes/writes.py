"""`Writes`: what callers may write of a resource, as data. Both sides obey it, so a body means the same on both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from routes.lifecycle import Fill


@dataclass(frozen=True, kw_only=True)
class Create:
    """POST on the collection. Every column that takes no null is in one of these, or is filled in otherwise."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """JSON values of what a caller does not name, the same in both worlds."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that a row begins with and nobody may name."""
    fills: Mapping[str, Fill] = field(default_factory=dict)
    """Columns that are filled in; of these only what is NOW may be named."""
    keyed: bool = True
    """`Idempotency-Key` is required: without it a repeat would make a second row."""

    @property
    def named(self) -> frozenset[str]:
        """What a body may hold."""
        moments = (name for name, fill in self.fills.items() if fill is Fill.NOW)
        return frozenset((*self.required, *self.optional, *self.defaults, *moments))


@dataclass(frozen=True, kw_only=True)
class Writes:
    """None, or empty: there is no such method."""

    create: Create | None = None
    change: frozenset[str] = frozenset()
    """Columns of a PATCH."""
    delete: bool = False

    @property
    def methods(self) -> frozenset[str]:
        found = {"POST": self.create is not None, "PATCH": bool(self.change), "DELETE": self.delete}
        return frozenset(method for method, there in found.items() if there)
