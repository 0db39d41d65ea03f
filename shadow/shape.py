"""`Shape`: what two answers to one question are made of, said by whoever asked."""

from dataclasses import dataclass

from catalog.column import Kept


@dataclass(frozen=True)
class By:
    """A member that a list is sorted by."""

    name: str
    descending: bool = False


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Rows of one resource, as /v2 shows them to one caller."""

    columns: tuple[Kept, ...]
    key: tuple[str, ...]
    """Members that tell one row from another; all of them are columns."""
    listed: bool
    """A page of a list ({"items": [...], "next": ...}) rather than one row."""
    order: tuple[By, ...] = ()
    """What the list is sorted by; empty: its order means nothing. Rows that are alike in all of it may come in any order."""
    limit: int = 0
    """Most rows of a page; 0: it is not known."""
    stamp: str = ""
    """Member that says when a row was last changed; empty: nothing does."""
