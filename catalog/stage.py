"""The stages that an entity goes through for one user, and what each means. This table is the only place of it."""

from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """Where a row is read or written."""

    LEGACY = "legacy"
    SERVICE = "service"

    @property
    def other(self) -> "Side":
        return Side.SERVICE if self is Side.LEGACY else Side.LEGACY


class Stage(StrEnum):
    """In the order of the migration; compare with `rank`, the strings do not sort."""

    LEGACY = "legacy"
    SHADOW = "shadow"
    DUAL_WRITE = "dual_write"
    LIVE = "live"
    RAMP_DOWN = "ramp_down"
    COMPLETE = "complete"

    @property
    def rank(self) -> int:
        return _RANK[self]

    @property
    def meaning(self) -> "Meaning":
        return MEANINGS[self]

    def clamp(self, floor: "Stage", ceiling: "Stage") -> "Stage":
        """This stage, not below `floor` and not above `ceiling`; the floor wins where the two cross."""
        return max(min(self, ceiling, key=_rank), floor, key=_rank)


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """One row of the stage table."""

    reads: Side
    compared: bool
    """The other side is asked in the background and the answers compared."""
    falls_back: bool
    """A miss or a failure of the reading side is answered by the other one; lists federate both."""
    writes: Side
    mirrored: bool
    """A write goes to the other side afterwards."""


MEANINGS = {
    Stage.LEGACY: Meaning(
        reads=Side.LEGACY, compared=False, falls_back=False, writes=Side.LEGACY, mirrored=False
    ),
    Stage.SHADOW: Meaning(
        reads=Side.LEGACY, compared=True, falls_back=False, writes=Side.LEGACY, mirrored=False
    ),
    Stage.DUAL_WRITE: Meaning(
        reads=Side.LEGACY, compared=True, falls_back=False, writes=Side.LEGACY, mirrored=True
    ),
    Stage.LIVE: Meaning(
        reads=Side.SERVICE, compared=True, falls_back=True, writes=Side.SERVICE, mirrored=True
    ),
    Stage.RAMP_DOWN: Meaning(
        reads=Side.SERVICE, compared=False, falls_back=False, writes=Side.SERVICE, mirrored=True
    ),
    Stage.COMPLETE: Meaning(
        reads=Side.SERVICE, compared=False, falls_back=False, writes=Side.SERVICE, mirrored=False
    ),
}

_RANK = {stage: rank for rank, stage in enumerate(Stage)}
_rank = _RANK.__getitem__
