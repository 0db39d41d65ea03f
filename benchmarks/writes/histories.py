"""`Histories`: which version of a key was built on which, and what that says about the versions that are left. Pure.

A version is known by the correlation id of the write that made it. Nothing is lost if every write is in the version that
both sides hold at the end, or in one whose loss was recorded as a conflict.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from routes.key import Key

Row = tuple[str, Key]
"""Entity and key."""


@dataclass(kw_only=True)
class Histories:
    _writes: dict[Row, list[str]] = field(default_factory=dict)
    _built_on: dict[str, str | None] = field(default_factory=dict)

    def wrote(self, row: Row, version: str, built_on: str | None) -> None:
        """`built_on`: what the side held of the key when the write came."""
        self._writes.setdefault(row, []).append(version)
        self._built_on[version] = built_on

    @property
    def rows(self) -> Iterable[Row]:
        return self._writes

    def holds(self, version: str | None, earlier: str | None) -> bool:
        """Was the one built on the other, however far back?"""
        return version != earlier and earlier in set(self._back(version))

    def lost(self, row: Row, final: str | None, losers: Iterable[str]) -> list[str]:
        """Writes that are in no version which is left, and in none whose loss is known."""
        kept = {one for version in (final, *losers) for one in self._back(version)}
        return [version for version in self._writes[row] if version not in kept]

    def _back(self, version: str | None) -> Iterator[str]:
        while version is not None:
            yield version
            version = self._built_on.get(version)
