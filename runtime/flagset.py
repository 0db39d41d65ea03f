"""The flag set: one flag per flag entity, what the phases allow, and the panic switch, as ONE document. Pure.

The document is flagd's flag set (flagd itself can serve it) with two members of ours, which flagd ignores:

    {"$schema": …, "flags": {"lab_orders.stage": …}, "entities": {"lab_orders": {"floor", "ceiling", "epoch", "backfilled"}}, "panic": false}

A flag belongs to a scope: an entity, or one partition of it (`compliance_tasks:consent_renewal.stage`). Members of an
aggregate have no flag and no state of their own (decisions.md 14). Reaching a process in one piece is what the document
is for: two messages once made two authorities (data-rules 7.2).

FlagError
  FlagSetInvalid    a document that may not be stored; `problems` says what, and what to do
  UnknownScope      no such entity, or no such partition of it
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

from catalog import assets
from catalog.column import Column
from catalog.stage import Stage
from runtime.flagrule import STAGES, Canonical, Rule, read_rule, targeting_problems, write_rule

SCHEMA = "https://flagd.dev/schema/v0/flags.json"
VARIANTS = {str(stage): str(stage) for stage in STAGES}
LARGEST_DOCUMENT = 1024 * 1024
EVALUATION_ERRORS = (
    OpenFeatureError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What flagd's evaluator raises for targeting that it cannot make sense of (it wraps few of its errors)."""

_SUFFIX = ".stage"


class FlagError(Exception):
    """Something is wrong with flags, or with what was asked of them."""


class FlagSetInvalid(FlagError):
    """`problems`: a sentence each, naming the flag or entity."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class UnknownScope(FlagError):
    """The catalog knows no such entity, or the entity no such partition. The message says which are known."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What one flag is about: a flag entity, or one of its partitions."""

    entity: str
    partition: str = ""

    @property
    def name(self) -> str:
        return f"{self.entity}:{self.partition}" if self.partition else self.entity

    @property
    def flag(self) -> str:
        return self.name + _SUFFIX

    @property
    def whole(self) -> "Scope":
        """The entity's own scope, to which a partition without flag or state falls back."""
        return Scope(entity=self.entity)


@dataclass(frozen=True, kw_only=True)
class EntityState:
    """What the phases allow. `epoch` rises with every change of authority; writers carry it, a stale one is refused."""

    floor: Stage = Stage.LEGACY
    ceiling: Stage = Stage.SHADOW
    epoch: int = 1
    backfilled: bool = False
    """The service holds every row of the entity (and of those that share its flag)."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One flag. `default` is what flagd answers when the targeting gives null."""

    rule: Rule = field(default_factory=Canonical)
    default: Stage = Stage.LEGACY
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stages(self) -> frozenset[Stage]:
        """Every stage that somebody could get. Canonical targeting never gives null, so its default counts for nothing."""
        if isinstance(self.rule, Canonical):
            return self.rule.stages
        return self.rule.stages | {self.default}


@dataclass(frozen=True, kw_only=True)
class FlagSet:
    """All of it. A scope without flag or state is possible: a release may know an entity that the stored document does not."""

    flags: Mapping[Scope, Flag]
    states: Mapping[Scope, EntityState]
    panic: bool = False
    foreign: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Members of the document's `flags` and `entities` that a newer release wrote: kept when an older one changes something."""

    def flag(self, scope: Scope) -> Flag | None:
        """The scope's flag, else its entity's."""
        return self.flags.get(scope) or self.flags.get(scope.whole)

    def state(self, scope: Scope) -> EntityState:
        """The scope's state, else its entity's, else the most careful one."""
        return self.states.get(scope) or self.states.get(scope.whole) or EntityState()


def flag_entities() -> tuple[str, ...]:
    """Entities that have a flag of their own, parents before children."""
    return tuple(name for name, asset in assets().items() if not asset.aggregate)


def followers(entity: str) -> tuple[str, ...]:
    """Entities that follow this one's flag."""
    return tuple(name for name, asset in assets().items() if asset.aggregate == entity)


def scope_of(entity: str, partition: str = "") -> Scope:
    """The scope whose flag decides for an entity. Raises UnknownScope."""
    asset = assets().get(entity)
    if asset is None:
        raise UnknownScope(f"there is no entity {entity}; known are {', '.join(assets())}")
    decides = assets()[asset.flag_entity]
    known = partitions(decides.entity)
    if partition and partition not in known:
        raise UnknownScope(
            f"{entity} has no partition {partition}; it has {', '.join(known) or 'none'}"
        )
    return Scope(entity=decides.entity, partition=partition)


@cache
def partitions(entity: str) -> tuple[str, ...]:
    """The values by which the entity's stage may differ; none if it declares no partition."""
    asset = assets()[entity]
    column = asset.by_target.get(asset.partition)
    return tuple(dict.fromkeys(column.values.values())) if isinstance(column, Column) else ()


def first_flag_set(ceiling: Stage) -> FlagSet:
    """Everybody at `legacy`, every entity allowed up to `ceiling`."""
    scopes = [Scope(entity=name) for name in flag_entities()]
    return FlagSet(
        flags={scope: Flag() for scope in scopes},
        states={scope: EntityState(ceiling=ceiling) for scope in scopes},
    )


def write_flag_set(flag_set: FlagSet) -> dict[str, Any]:
    """The document, in a stable order."""
    flags = {scope.flag: _write_flag(flag, scope) for scope, flag in flag_set.flags.items()}
    states = {scope.name: write_state(state) for scope, state in flag_set.states.items()}
    return {
        "$schema": SCHEMA,
        "flags": dict(sorted({**flag_set.foreign.get("flags", {}), **flags}.items())),
        "entities": dict(sorted({**flag_set.foreign.get("entities", {}), **states}.items())),
        "panic": flag_set.panic,
    }


def _write_flag(flag: Flag, scope: Scope) -> dict[str, Any]:
    written: dict[str, Any] = {
        "state": "ENABLED",
        "variants": VARIANTS,
        "defaultVariant": str(flag.default),
        "targeting": write_rule(flag.rule, scope.entity),
    }
    return {**written, "metadata": dict(flag.metadata)} if flag.metadata else written


def write_state(state: EntityState) -> dict[str, Any]:
    return {
        "floor": str(state.floor),
        "ceiling": str(state.ceiling),
        "epoch": state.epoch,
        "backfilled": state.backfilled,
    }


def read_flag_set(document: Any, *, strict: bool) -> FlagSet:
    """The flag set of a document. Raises FlagSetInvalid with every problem.

    `strict` is for storing: what is not known is refused. A process that only reads ignores unknown entities and
    members, since they may come from a newer release, and must not be frozen by one.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("flags"), Mapping):
        raise FlagSetInvalid(['the document must be an object with `flags`: {"flags": {…}, …}'])
    problems = list(_unknown_members("the document", document, _MEMBERS, strict=strict))
    flags, foreign_flags = _read_flags(document["flags"], problems, strict=strict)
    states, foreign_states = _read_states(document.get("entities", {}), problems, strict=strict)
    panic = document.get("panic", False)
    if not isinstance(panic, bool):
        problems.append("panic must be true or false")
    if strict and not problems:
        problems += _evaluation_problems(document)
    if problems:
        raise FlagSetInvalid(problems)
    found = {"flags": foreign_flags, "entities": foreign_states}
    foreign = {member: names for member, names in found.items() if names}
    return FlagSet(flags=flags, states=states, panic=panic, foreign=foreign)


def checked(flag_set: FlagSet) -> FlagSet:
    """The flag set as it will be read again, if it may be stored. Raises FlagSetInvalid."""
    known = read_flag_set(write_flag_set(replace(flag_set, foreign={})), strict=True)
    return replace(known, foreign=flag_set.foreign)


_MEMBERS = frozenset({"$schema", "flags", "entities", "panic"})
_FLAG_MEMBERS = frozenset({"state", "variants", "defaultVariant", "targeting", "metadata"})
_STATE_MEMBERS = frozenset({"floor", "ceiling", "epoch", "backfilled"})


def _unknown_members(
    what: str, found: Mapping[str, Any], known: frozenset[str], *, strict: bool
) -> Iterator[str]:
    unknown = sorted(str(name) for name in set(found) - known)
    if strict and unknown:
        yield f"{what} has unknown members {', '.join(unknown)}: remove them; known are {', '.join(sorted(known))}"


def _read_flags(
    found: Mapping[str, Any], problems: list[str], *, strict: bool
) -> tuple[dict[Scope, Flag], dict[str, Any]]:
    flags, foreign = {}, {}
    for name, flag in found.items():
        scope = _scope(name.removesuffix(_SUFFIX)) if name.endswith(_SUFFIX) else None
        if scope is None:
            foreign[name] = flag
            if strict:
                problems.append(
                    f"{name}: no such entity or partition here; flags are called <entity>.stage or"
                    f" <entity>:<partition>.stage for {', '.join(flag_entities())}"
                )
            continue
        wrong = [f"{name}: {problem}" for problem in _flag_problems(flag, strict=strict)]
        problems += wrong
        if not wrong:
            flags[scope] = Flag(
                rule=read_rule(flag.get("targeting", {}), scope.entity),
                default=Stage(flag["defaultVariant"]),
                metadata=flag.get("metadata", {}),
            )
    return flags, foreign


def _flag_problems(flag: Any, *, strict: bool) -> Iterator[str]:
    if not isinstance(flag, Mapping):
        yield "must be an object"
        return
    yield from _unknown_members("it", flag, _FLAG_MEMBERS, strict=strict)
    if flag.get("state") != "ENABLED":
        yield 'its state must be "ENABLED": to send everybody to legacy, ramp shadow to 0 percent'
    if flag.get("variants") != VARIANTS:
        yield f"its variants must be the stages, each by its own name: {json.dumps(VARIANTS)}"
    if flag.get("defaultVariant") not in STAGES:
        yield f"its defaultVariant must be one of {', '.join(STAGES)}"
    yield from targeting_problems(flag.get("targeting", {}))
    metadata = flag.get("metadata", {})
    if not isinstance(metadata, Mapping) or not all(
        isinstance(value, str | int | float | bool) for value in metadata.values()
    ):
        yield "its metadata must hold texts, numbers, true or false only"


def _read_states(
    found: Any, problems: list[str], *, strict: bool
) -> tuple[dict[Scope, EntityState], dict[str, Any]]:
    if not isinstance(found, Mapping):
        problems.append("entities must be an object")
        return {}, {}
    states, foreign = {}, {}
    for name, state in found.items():
        scope = _scope(name)
        if scope is None:
            foreign[name] = state
            if strict:
                problems.append(
                    f"entities.{name}: no such entity or partition here; known are {', '.join(flag_entities())}"
                )
            continue
        wrong = [f"entities.{name}: {problem}" for problem in _state_problems(state, strict=strict)]
        problems += wrong
        if not wrong:
            states[scope] = EntityState(
                floor=Stage(state["floor"]),
                ceiling=Stage(state["ceiling"]),
                epoch=state["epoch"],
                backfilled=state["backfilled"],
            )
    return states, foreign


def _state_problems(state: Any, *, strict: bool) -> Iterator[str]:
    if not isinstance(state, Mapping):
        yield "must be an object"
        return
    yield from _unknown_members("it", state, _STATE_MEMBERS, strict=strict)
    floor, ceiling = state.get("floor"), state.get("ceiling")
    if floor not in STAGES or ceiling not in STAGES:
        yield f"floor and ceiling must each be one of {', '.join(STAGES)}"
    elif Stage(floor).rank > Stage(ceiling).rank:
        yield f"its floor {floor} is above its ceiling {ceiling}: raise the ceiling first"
    epoch = state.get("epoch")
    if type(epoch) is not int or epoch < 1:
        yield "epoch must be a whole number from 1"
    if not isinstance(state.get("backfilled"), bool):
        yield "backfilled must be true or false"


def _scope(name: str) -> Scope | None:
    """The scope of a name in a document, if this release knows it as one with a flag of its own."""
    entity, colon, partition = name.partition(":")
    if entity not in flag_entities() or bool(colon) != bool(partition):
        return None
    if partition and partition not in partitions(entity):
        return None
    return Scope(entity=entity, partition=partition)


_PROBES = (
    EvaluationContext(
        "00000000-0000-4000-8000-000000000000", {"role": "", "partner_id": "", "cohorts": []}
    ),
    EvaluationContext(
        "ffffffff-ffff-4fff-bfff-ffffffffffff",
        {"role": "patient", "partner_id": "11111111-1111-4111-8111-111111111111", "cohorts": ["x"]},
    ),
)


def _evaluation_problems(document: Mapping[str, Any]) -> Iterator[str]:
    """flagd-core has the last word: each flag is evaluated for two made-up users."""
    core = _compiled(document)
    for name in document["flags"]:
        for probe in _PROBES:
            try:
                core.resolve_string_value(name, "", probe)
            except EVALUATION_ERRORS as error:
                yield f"{name}: flagd cannot evaluate its targeting ({type(error).__name__})"
                break


def evaluator(flag_set: FlagSet) -> FlagdCore:
    """flagd's evaluator over the flags that this release knows."""
    return _compiled(write_flag_set(replace(flag_set, foreign={})))


def _compiled(document: Mapping[str, Any]) -> FlagdCore:
    core = FlagdCore()
    # By way of JSON: it takes the objects that it is given apart.
    core.set_flags(json.dumps({"flags": document["flags"]}))
    return core
