"""`Variant`: one way to be a gateway, that is, one row of the table."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.cost.place import Place
from sandbox.children import Command


class Work(StrEnum):
    """What a variant does with a request."""

    FULL = "full"
    """Verify the token, pick the side by a flag, correlation id up and down, one JSON access line."""
    BARE = "bare"
    """Proxy only."""
    NONE = "none"
    """Nothing: the upstream itself, as a control."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """`missing` says why it cannot be started here, or nothing; `command` writes its configuration and says what to start."""

    name: str
    work: Work
    missing: Callable[[], str]
    command: Callable[[Place], Command] | None
    """None: there is nothing to start."""
    unequal: str = ""
    """What it does more or less than the others, for the report."""
    answered_by_legacy: bool = False
    """Its users' flags all say `legacy`, so the answer is translated."""
    asks_behind: bool = False
    """Once it has answered, it asks the other side the same."""
    slow: bool = False
    """So slow that it has to be measured for longer."""

    @property
    def slug(self) -> str:
        """The name as a folder's."""
        return "".join(c if c.isalnum() else "-" for c in self.name.lower())
