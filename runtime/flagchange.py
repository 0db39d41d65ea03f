"""What operators do to flags, as data, and what each does to a flag set. Pure.

ChangeRefused   the change is not possible as asked; `reasons` says why and what to do instead
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from catalog.stage import Stage
from runtime.flagrule import MOST_OVERRIDES, STAGES, WHOLE, By, Canonical, HandWritten, Override
from runtime.flagset import EntityState, Flag, FlagError, FlagSet, Scope, write_state


class ChangeRefused(FlagError):
    """`code` is a stable word."""

    def __init__(self, code: str, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.code = code
        self.reasons = reasons


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """At least `stage` for so many tenths of a percent of the users."""

    scope: Scope
    stage: Stage
    tenths: int

    def facts(self) -> dict[str, Any]:
        return {
            "kind": "ramp",
            **_scope_facts(self.scope),
            "stage": str(self.stage),
            "percent": percent(self.tenths),
        }


@dataclass(frozen=True, kw_only=True)
class SetOverride:
    """This user, cohort, partner or role gets the stage whatever the shares say."""

    scope: Scope
    override: Override

    def facts(self) -> dict[str, Any]:
        return {
            "kind": "set",
            **_scope_facts(self.scope),
            str(self.override.by): self.override.value,
            "stage": str(self.override.stage),
        }


@dataclass(frozen=True, kw_only=True)
class UnsetOverride:
    """Back to what the shares (or a less specific override) say."""

    scope: Scope
    by: By
    value: str

    def facts(self) -> dict[str, Any]:
        return {"kind": "unset", **_scope_facts(self.scope), str(self.by): self.value}


@dataclass(frozen=True, kw_only=True)
class Allow:
    """What the phases allow from now on; None leaves a part as it is."""

    scope: Scope
    floor: Stage | None = None
    ceiling: Stage | None = None
    backfilled: bool | None = None

    def facts(self) -> dict[str, Any]:
        given = {"floor": self.floor, "ceiling": self.ceiling, "backfilled": self.backfilled}
        stated = {name: value for name, value in given.items() if value is not None}
        return {"kind": "allow", **_scope_facts(self.scope), **stated}


@dataclass(frozen=True, kw_only=True)
class Panic:
    """Everything that may go to legacy goes there, or no longer."""

    on: bool

    def facts(self) -> dict[str, Any]:
        return {"kind": "panic", "on": self.on}


Change = Ramp | SetOverride | UnsetOverride | Allow | Panic


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a change does. `flag_set` equals the old one when there is nothing to change."""

    flag_set: FlagSet
    down: tuple[Stage, ...] = ()
    """Stages whose cumulative share falls: users move backward."""
    tenths: int = 0
    """The largest move of a cumulative share."""
    warnings: tuple[str, ...] = ()


def apply(flag_set: FlagSet, change: Change) -> Effect:
    """The flag set after the change. Raises ChangeRefused."""
    match change:
        case Ramp():
            return _ramp(flag_set, change)
        case SetOverride():
            return _set(flag_set, change)
        case UnsetOverride():
            return _unset(flag_set, change)
        case Allow():
            return _allow(flag_set, change)
        case Panic():
            return Effect(flag_set=replace(flag_set, panic=change.on))


def needs_approver(change: Change, effect: Effect, *, points: int) -> bool:
    """Whether a second person must agree in production: more than `points` percent of the users can move.

    An override by role, and what the phases allow, can move everybody; neither says how many.
    """
    match change:
        case Ramp():
            return effect.tenths > points * 10
        case SetOverride(override=Override(by=by)) | UnsetOverride(by=by):
            return by is By.ROLE
        case Allow():
            return change.floor is not None or change.ceiling is not None
        case Panic():
            return False


def _ramp(flag_set: FlagSet, change: Ramp) -> Effect:
    if change.stage is Stage.LEGACY:
        raise ChangeRefused(
            "nothing_to_ramp",
            "everybody is at least at legacy; to take users back, ramp the stage above to fewer percent"
            f" (`ramp {change.scope.name} shadow 0` takes everybody back)",
        )
    flag, rule = _editable(flag_set, change.scope)
    shares = rule.shares.ramped(change.stage, change.tenths)
    moves = {s: shares.of(s) - rule.shares.of(s) for s in STAGES}
    return Effect(
        flag_set=_with_rule(flag_set, change.scope, flag, replace(rule, shares=shares)),
        down=tuple(stage for stage, move in moves.items() if move < 0),
        tenths=max(abs(move) for move in moves.values()),
        warnings=_clamped(flag_set, change.scope, change.stage) if change.tenths else (),
    )


def _set(flag_set: FlagSet, change: SetOverride) -> Effect:
    flag, rule = _editable(flag_set, change.scope)
    rule = rule.with_override(change.override)
    if len(rule.overrides) > MOST_OVERRIDES:
        raise ChangeRefused(
            "too_many_overrides",
            f"{change.scope.flag} has {MOST_OVERRIDES} overrides already: name a cohort instead of single users",
        )
    return Effect(
        flag_set=_with_rule(flag_set, change.scope, flag, rule),
        warnings=_clamped(flag_set, change.scope, change.override.stage),
    )


def _unset(flag_set: FlagSet, change: UnsetOverride) -> Effect:
    flag, rule = _editable(flag_set, change.scope)
    if rule.override(change.by, change.value) is None:
        raise ChangeRefused(
            "no_such_override",
            f"{change.scope.flag} has no override for this {change.by}; `flags show {change.scope.entity}` lists them",
        )
    without = rule.without(change.by, change.value)
    return Effect(flag_set=_with_rule(flag_set, change.scope, flag, without))


def _allow(flag_set: FlagSet, change: Allow) -> Effect:
    old = flag_set.state(change.scope)
    new = EntityState(
        floor=old.floor if change.floor is None else change.floor,
        ceiling=old.ceiling if change.ceiling is None else change.ceiling,
        epoch=old.epoch,
        backfilled=old.backfilled if change.backfilled is None else change.backfilled,
    )
    if new.floor.rank > new.ceiling.rank:
        raise ChangeRefused(
            "floor_above_ceiling",
            f"floor {new.floor} would be above ceiling {new.ceiling}: move both in one change",
        )
    if _authorities(old) != _authorities(new):
        new = replace(new, epoch=old.epoch + 1)
    stated = change.scope in flag_set.states
    if stated and new == old:
        return Effect(flag_set=flag_set)
    return Effect(flag_set=replace(flag_set, states={**flag_set.states, change.scope: new}))


def _authorities(state: EntityState) -> tuple[bool, bool]:
    """Whether everybody, and whether anybody, may have the service as authority: its change raises the epoch."""
    live = Stage.LIVE.rank
    return state.floor.rank >= live, state.ceiling.rank >= live


def _editable(flag_set: FlagSet, scope: Scope) -> tuple[Flag, Canonical]:
    """The scope's flag and rule; a partition without a flag of its own starts from the entity's."""
    flag = flag_set.flag(scope) or Flag()
    if isinstance(flag.rule, HandWritten):
        raise ChangeRefused(
            "hand_written",
            f"{scope.flag} has hand-written targeting, which these commands do not edit:"
            " store a flag set in which it is written by hand again, or is canonical",
        )
    return flag, flag.rule


def _with_rule(flag_set: FlagSet, scope: Scope, flag: Flag, rule: Canonical) -> FlagSet:
    return replace(flag_set, flags={**flag_set.flags, scope: replace(flag, rule=rule)})


def _clamped(flag_set: FlagSet, scope: Scope, stage: Stage) -> tuple[str, ...]:
    state = flag_set.state(scope)
    if stage.rank > state.ceiling.rank:
        return (
            f"{scope.name} may not go above {state.ceiling} yet: until its ceiling rises, {stage} means that",
        )
    if stage.rank < state.floor.rank:
        return (f"{scope.name} may not go below {state.floor} any more: {stage} means that",)
    return ()


def percent(tenths: int) -> float | int:
    """12.5, or 12 without a needless point."""
    return tenths // 10 if tenths % 10 == 0 else tenths / 10


def tenths_of(percentage: float) -> int:
    """Tenths of a percent. Raises ChangeRefused unless 0 to 100 with one decimal at most."""
    tenths = round(percentage * 10)
    if not 0 <= tenths <= WHOLE or abs(percentage * 10 - tenths) > 1e-6:
        raise ChangeRefused("bad_percent", "a percentage is 0 to 100 with at most one decimal")
    return tenths


def before(flag_set: FlagSet, change: Change) -> Mapping[str, Any]:
    """What a change starts from: an approval holds for exactly that."""
    if isinstance(change, Panic):
        return {"panic": flag_set.panic}
    flag = flag_set.flag(change.scope)
    shares = flag.rule.shares.at_least if flag and isinstance(flag.rule, Canonical) else None
    return {
        "shares": list(shares) if shares else None,
        "state": write_state(flag_set.state(change.scope)),
    }


def _scope_facts(scope: Scope) -> dict[str, Any]:
    return {"entity": scope.entity, **({"partition": scope.partition} if scope.partition else {})}
