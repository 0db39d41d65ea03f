"""`Plans`: what `whole_plan` says, remembered for as long as the flag snapshot stands: a request pays for a lookup."""

from catalog.stage import Side, Stage
from gateway.plan import Read, plan_read
from gateway.user import User
from routes.resource import Resource
from runtime.flagsnapshot import Snapshot


class Plans:
    """Of one process. Not more entries than resources, stages and kinds of users make."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._known: dict[tuple[str, Stage, bool], tuple[str, Read | None]] = {}

    def of(self, resource: Resource, user: User, snapshot: Snapshot) -> tuple[str, Read | None]:
        """The word of the user's stage, and the plan; no plan for an entity whose partitions are split, where the query decides, too."""
        if snapshot is not self._snapshot:
            self._snapshot, self._known = snapshot, {}
        stage = snapshot.stage(resource.entity, user.flags)
        key = (resource.path, stage, user.by_home)
        try:
            return self._known[key]
        except KeyError:
            split = resource.asset.partition and snapshot.split_partitions(resource.entity)
            plan = None if split else whole_plan(resource, user, snapshot)
            self._known[key] = found = (stage.value, plan)
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
