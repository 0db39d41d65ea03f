"""`Plans`: what `whole_plan` says, remembered for as long as the flag snapshot stands."""

from catalog.column import Column
from catalog.stage import Side, Stage
from gateway.plan import Planned, Read, SplitRead, plan_partitions, plan_read
from gateway.user import User
from routes.match import Match
from routes.query import ListQuery, Op
from routes.resource import Resource
from runtime.flagsnapshot import Snapshot


class Plans:
    """Of one process. What it remembers stands on the user: a request looks up one word, and hashes nothing."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._generation = 0
        self._shared: dict[tuple[str, Stage, bool], Planned] = {}

    def of(self, found: Match, user: User, snapshot: Snapshot) -> Planned:
        """The user's stage and plan; no plan for an entity whose partitions are split."""
        if snapshot is not self._snapshot:
            # A number, not the snapshot itself: a user who does not come back must not keep an old one alive.
            self._snapshot, self._shared = snapshot, {}
            self._generation += 1
        planned = user.plans.get(found.path)
        if planned is None or planned.generation != self._generation:
            planned = user.plans[found.path] = self._plan(found.resource, user, snapshot)
        return planned

    def _plan(self, resource: Resource, user: User, snapshot: Snapshot) -> Planned:
        """Shared by all users of one stage and kind."""
        stage = snapshot.stage(resource.entity, user.flags)
        key = (resource.path, stage, user.by_home)
        found = self._shared.get(key)
        if found is None:
            split = resource.asset.partition and snapshot.split_partitions(resource.entity)
            plan = None if split else whole_plan(resource, user, snapshot)
            found = self._shared[key] = Planned(stage.value, plan, self._generation)
        return found


def whole_plan(resource: Resource, user: User, snapshot: Snapshot) -> Read:
    """The plan of this user for a resource whose partitions, if it has any, are not split. Pure."""
    entity = resource.entity
    moved = bool(resource.home) and not user.by_home
    return plan_read(
        snapshot.stage(entity, user.flags),
        backfilled=snapshot.state(entity).backfilled,
        homes_moved=moved and snapshot.highest(entity).meaning.reads is Side.SERVICE,
    )


def plan_for(
    resource: Resource, user: User, snapshot: Snapshot, query: ListQuery | None
) -> Read | SplitRead:
    """The plan of this user for any resource; `query` narrows the partitions that count. Pure."""
    entity = resource.entity
    if resource.asset.partition and snapshot.split_partitions(entity):
        stages = {p: snapshot.stage(entity, user.flags, p) for p in _partitions(resource, query)}
        return plan_partitions(stages, backfilled=snapshot.state(entity).backfilled)
    return whole_plan(resource, user, snapshot)


def _partitions(resource: Resource, query: ListQuery | None) -> set[str]:
    """The partitions that can be in the answer."""
    column = resource.asset.by_target[resource.asset.partition]
    assert isinstance(column, Column)  # noqa: S101 - the catalog refuses another kind of partition
    wanted = set(column.values.values())
    for one in query.filters if query is not None else ():
        if one.column is column and one.op in (Op.EQ, Op.IN):
            wanted &= set(one.values)
    return wanted or set(column.values.values())
