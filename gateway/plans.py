"""`Plans`: what `whole_plan` says, remembered for as long as the flag snapshot stands."""

from catalog.stage import Side, Stage
from gateway.plan import Planned, Read, plan_read
from gateway.user import User
from routes.match import Match
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
