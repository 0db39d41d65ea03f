"""From stage to behaviour: the only place where it happens. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from catalog.stage import Side, Stage


@dataclass(frozen=True, kw_only=True)
class Read:
    """What a read does."""

    side: Side
    """Who answers."""
    falls_back: bool = False
    """The service does not know the row, or fails: legacy answers."""
    federated: bool = False
    """A list is the service's rows plus the legacy rows whose key the service does not know (decisions.md 11)."""
    compared_with: Side | None = None
    """Asked in the background, after the answer."""
    pinned: bool = False
    """The side holds a write of this user's that the other one may not have: legacy answers for a row that the service does
    not know, but never for a service that fails."""


@dataclass(frozen=True, kw_only=True)
class SplitRead:
    """The partitions of one entity stand on both sides (decisions.md 15): each row is answered by its partition's side."""

    sides: Mapping[str, Side]
    service: Read
    """How the partitions that the service answers are read."""


@dataclass(frozen=True, kw_only=True)
class Write:
    """What a write does."""

    authority: Side
    """Who takes it, or refuses it; the other side follows."""
    announced: bool
    """There is an intent in the mirror stream before it is sent, and it pins the user until the other side has it."""


class Planned:
    """A user's stage for a resource, and its plan, for as long as the flags stay as they are (gateway.plans)."""

    __slots__ = ("generation", "plan", "stage")

    def __init__(self, stage: str, plan: Read | None, generation: int) -> None:
        self.stage = stage
        """Its word, for the record."""
        self.plan = plan
        """None: the query decides, too."""
        self.generation = generation


def plan_read(stage: Stage, *, backfilled: bool, homes_moved: bool = False) -> Read:
    """The read of one user.

    `backfilled`: the service holds every row, so lists need no legacy rows. `homes_moved`: the entity is written where
    somebody else's stage says (a clinician's calendar), and somebody's is `live` already: the rest must look at both.
    """
    meaning = stage.meaning
    if homes_moved and meaning.reads is Side.LEGACY:
        return Read(side=Side.SERVICE, falls_back=True, federated=True)
    return Read(
        side=meaning.reads,
        falls_back=meaning.falls_back,
        federated=meaning.falls_back and not backfilled,
        compared_with=meaning.reads.other if meaning.compared else None,
    )


def plan_partitions(stages: Mapping[str, Stage], *, backfilled: bool) -> Read | SplitRead:
    """The read of an entity whose partitions have stages of their own; `stages` holds the partitions asked for."""
    reads = {name: plan_read(stage, backfilled=backfilled) for name, stage in stages.items()}
    distinct = set(reads.values())
    if len(distinct) == 1:
        return distinct.pop()
    by_service = [read for read in distinct if read.side is Side.SERVICE]
    if len(by_service) == len(distinct) or not by_service:
        return _careful(distinct)
    return SplitRead(
        sides={name: read.side for name, read in reads.items()}, service=_careful(set(by_service))
    )


def _careful(reads: set[Read]) -> Read:
    """One read that is right for several of the same side: federated or falling back if any is; compared only if all are."""
    compared = {read.compared_with for read in reads}
    return Read(
        side=next(iter(reads)).side,
        falls_back=any(read.falls_back for read in reads),
        federated=any(read.federated for read in reads),
        compared_with=compared.pop() if len(compared) == 1 else None,
    )


def plan_write(stage: Stage, *, ceiling: Stage) -> Write:
    """The write of one user. `ceiling` is the entity's: from `dual_write` on its mirror runs, and then writes of users whom
    their stage leaves with legacy are announced, too, since that stage may change at any moment."""
    meaning = stage.meaning
    mirror_runs = ceiling.rank >= Stage.DUAL_WRITE.rank
    by_legacy = meaning.writes is Side.LEGACY
    return Write(
        authority=meaning.writes, announced=meaning.mirrored or (by_legacy and mirror_runs)
    )
