"""What the control API shows of the flags, as JSON. Pure."""

from typing import Any

from catalog.stage import Stage
from runtime.flagchange import percent
from runtime.flagrule import STAGES, Canonical, HandWritten
from runtime.flagset import Scope, flag_entities, followers, write_state
from runtime.flagsnapshot import Snapshot, may_go_back


def whole_view(snapshot: Snapshot, *, kill_switch: bool) -> dict[str, Any]:
    """Everything, one object per flag entity."""
    return {
        "version": snapshot.version,
        "store": snapshot.store,
        "panic": {
            "on": snapshot.panic,
            "flag_set": snapshot.flag_set.panic,
            "kill_switch": kill_switch,
        },
        "entities": [entity_view(snapshot, entity) for entity in flag_entities()],
    }


def entity_view(snapshot: Snapshot, entity: str) -> dict[str, Any]:
    """One flag entity with its partitions."""
    parts = snapshot.split_partitions(entity)
    return {
        **_scope_view(snapshot, Scope(entity=entity)),
        "followed_by": list(followers(entity)),
        "highest": snapshot.highest(entity),
        "partitions": [_scope_view(snapshot, Scope(entity=entity, partition=p)) for p in parts],
    }


def _scope_view(snapshot: Snapshot, scope: Scope) -> dict[str, Any]:
    """`at_least` is null where the targeting is written by hand, or there is no flag."""
    flag = snapshot.flag_set.flag(scope)
    rule = flag.rule if flag else None
    view: dict[str, Any] = {
        "entity": scope.entity,
        "partition": scope.partition,
        "flag": scope.flag,
        "defined": flag is not None,
        "hand_written": isinstance(rule, HandWritten),
        "at_least": None,
        "overrides": [],
        **write_state(snapshot.flag_set.state(scope)),
    }
    if flag and isinstance(rule, HandWritten):
        view |= {"default": flag.default, "targeting": rule.targeting}
    if isinstance(rule, Canonical):
        above = [stage for stage in STAGES if stage is not Stage.LEGACY]
        view["at_least"] = {str(stage): percent(rule.shares.of(stage)) for stage in above}
        view["overrides"] = [
            {"by": override.by, "value": override.value, "stage": override.stage}
            for override in rule.overrides
        ]
    return view


def panic_view(snapshot: Snapshot) -> dict[str, Any]:
    """What panic takes back to legacy, and what may not go back, and why."""
    states = {scope: snapshot.flag_set.state(scope) for scope in snapshot.scopes()}
    return {
        "goes": [scope.name for scope, state in states.items() if may_go_back(state)],
        "stays": [
            {
                "entity": scope.name,
                "floor": state.floor,
                "reason": f"its floor is {state.floor}: the service is its authority, and legacy does not hold"
                " every write any more",
            }
            for scope, state in states.items()
            if not may_go_back(state)
        ],
    }
