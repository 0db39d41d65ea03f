"""What a side answers, in v2's words."""

from dataclasses import dataclass

from gateway.rows import Row


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of a list. `done`: there is nothing behind it. `known`: for the keys that were asked about, in their order."""

    rows: list[Row]
    done: bool
    total: int | None = None
    known: tuple[bool, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Item:
    """One row, encoded, with its entity tag."""

    body: bytes
    etag: str
