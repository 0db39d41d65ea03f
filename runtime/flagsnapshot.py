"""`Snapshot`: one version of the flag set, ready to be asked. Immutable; a process swaps it in one assignment.

flagd-core evaluates a flag once per user and version; after that an answer is a dict lookup. The remembered answers
live in the snapshot, so a new version drops them by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson
import structlog
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.contrib.tools.flagd.core.targeting import targeting as evaluate
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason

from catalog import assets
from catalog.stage import Stage
from runtime.flagrule import STAGES, WHOLE, By, Canonical, Group, groups
from runtime.flagset import (
    EVALUATION_ERRORS,
    LARGEST_DOCUMENT,
    EntityState,
    Flag,
    FlagSet,
    FlagSetInvalid,
    Scope,
    evaluator,
    flag_entities,
    read_flag_set,
)

__all__ = ["EntityState", "Explanation", "FlagUser", "Snapshot", "read_snapshot"]

log = structlog.get_logger("flags")

REMEMBERED = 100_000
"""Answers kept per generation; there are two."""
_BUCKETS = 100_000
_SALT_SEPARATOR = "."


class FlagUser(NamedTuple):
    """What targeting may know of a user: the verified token's word, nothing else."""

    sub: str
    role: str = ""
    partner_id: str = ""
    cohorts: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What flagd said. `stage` is None, and `error` a stable word, when it could not say."""

    stage: Stage | None
    reason: str = str(Reason.ERROR)
    """In OpenFeature's words."""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a user is at a stage."""

    entity: str
    flag: str
    """The flag that decided; empty if there is none."""
    rule: str
    """The rule that matched, in words."""
    reason: str
    """In OpenFeature's words: TARGETING_MATCH, SPLIT, STATIC, DEFAULT or ERROR."""
    bucket: float | None
    """The user's place in 0 to 99.999 percent, as flagd computes it; whoever is above 100 minus a stage's share is at least there."""
    variant: str | None
    """flagd's answer, before floor, ceiling and panic."""
    floor: Stage
    ceiling: Stage
    clamped: str
    """`floor`, `ceiling`, `panic`, `safe default` or empty: what changed flagd's answer."""
    stage: Stage
    epoch: int
    backfilled: bool
    panic: bool
    version: int
    store: str


class Snapshot:
    """One version of everything that decides about stages.

    `version` 0 with an empty `store` is the file that came with the release; otherwise `store` names the control
    database that counts the versions.
    """

    def __init__(
        self,
        flag_set: FlagSet,
        *,
        version: int = 0,
        store: str = "",
        kill_switch: bool = False,
        core: FlagdCore | None = None,
    ) -> None:
        self.flag_set = flag_set
        self.version = version
        self.store = store
        self.panic = flag_set.panic or kill_switch
        """Everything that may go to legacy goes there: by the document, or by this machine's kill-switch file."""
        self._core = core or evaluator(flag_set)
        self._young: dict[tuple[str, str | None, FlagUser], Stage] = {}
        self._old: dict[tuple[str, str | None, FlagUser], Stage] = {}
        self._highest = {entity: self._highest_of(entity) for entity in assets()}
        self._failed: set[str] = set()

    def with_kill_switch(self, on: bool) -> "Snapshot":
        """The same version with this machine's kill switch on or off, and nothing remembered."""
        return Snapshot(
            self.flag_set,
            version=self.version,
            store=self.store,
            kill_switch=on,
            core=self._core,
        )

    def stage(self, entity: str, user: FlagUser, partition: str | None = None) -> Stage:
        """The user's stage for an entity, or for one of its partitions. Never fails: see `safe_default`.

        KeyError for an entity that is not in the catalog; a value that is no partition means the entity's own flag.
        """
        found = self._young.get((entity, partition, user))
        return found if found is not None else self._decide(entity, user, partition)

    def _decide(self, entity: str, user: FlagUser, partition: str | None) -> Stage:
        key = (entity, partition, user)
        stage = self._old.get(key)
        if stage is None:
            scope = self._scope(entity, partition)
            stage = self._effective(scope, self._ask(scope, user).stage)[0]
        # Two generations: what was asked for lately survives, and it costs nothing on a hit.
        if len(self._young) >= REMEMBERED:
            self._old, self._young = self._young, {}
        self._young[key] = stage
        return stage

    def state(self, entity: str, partition: str | None = None) -> EntityState:
        """What the phases allow for an entity or one of its partitions."""
        return self.flag_set.state(self._scope(entity, partition))

    def highest(self, entity: str) -> Stage:
        """The highest stage that anybody could be given for any row of the entity."""
        return self._highest[entity]

    def split_partitions(self, entity: str) -> tuple[str, ...]:
        """Partitions that have a flag or a state of their own, sorted."""
        decides = assets()[entity].flag_entity
        own = {*self.flag_set.flags, *self.flag_set.states}
        return tuple(sorted(s.partition for s in own if s.entity == decides and s.partition))

    def explain(self, entity: str, user: FlagUser, partition: str | None = None) -> Explanation:
        """Why `stage` answers what it does. Costs a hundred evaluations: for people, not for requests."""
        scope = self._scope(entity, partition)
        answer = self._answer(scope, user)
        stage, clamped = self._effective(scope, answer.stage)
        flag = self.flag_set.flag(scope)
        state = self.flag_set.state(scope)
        return Explanation(
            entity=entity,
            flag=self._own(scope).flag if flag else "",
            rule=_rule_in_words(flag, answer, user) if flag else "there is no such flag",
            reason=answer.reason,
            bucket=bucket(scope.entity, user) if _is_shared(flag) else None,
            variant=str(answer.stage) if answer.stage else None,
            floor=state.floor,
            ceiling=state.ceiling,
            clamped=clamped,
            stage=stage,
            epoch=state.epoch,
            backfilled=state.backfilled,
            panic=self.panic,
            version=self.version,
            store=self.store,
        )

    def flags_of(self, user: FlagUser) -> Mapping[str, tuple[Stage, Answer]]:
        """The user's effective stage and flagd's answer for every scope of `scopes`, by flag."""
        return {scope.flag: self.flag_of(scope, user) for scope in self.scopes()}

    def scopes(self) -> tuple[Scope, ...]:
        """Every scope whose stage may differ from another's: the flag entities, and their split partitions."""
        return tuple(
            Scope(entity=entity, partition=partition)
            for entity in flag_entities()
            for partition in ("", *self.split_partitions(entity))
        )

    def flag_of(self, scope: Scope, user: FlagUser) -> tuple[Stage, Answer]:
        """The user's effective stage and flagd's answer for one scope."""
        answer = self._answer(scope, user)
        return self._effective(scope, answer.stage)[0], answer

    def _scope(self, entity: str, partition: str | None) -> Scope:
        decides = assets()[entity].flag_entity
        return Scope(entity=decides, partition=partition or "")

    def _answer(self, scope: Scope, user: FlagUser) -> Answer:
        """`_ask`, with the reason in OpenFeature's words: flagd says TARGETING_MATCH for a share, too."""
        answer, flag = self._ask(scope, user), self.flag_set.flag(scope)
        if (
            flag
            and isinstance(flag.rule, Canonical)
            and answer.stage
            and not _matching(flag.rule, user)
        ):
            return replace(answer, reason=str(Reason.SPLIT))
        return answer

    def _ask(self, scope: Scope, user: FlagUser) -> Answer:
        own = self._own(scope)
        if own not in self.flag_set.flags:
            return Answer(stage=None, error="no_flag")
        try:
            found = self._core.resolve_string_value(own.flag, "", _context(user))
        except EVALUATION_ERRORS as error:
            self._tell(own, error)
            return Answer(stage=None, error="evaluation_failed")
        if found.value not in STAGES:
            return Answer(stage=None, error="unknown_variant")
        return Answer(stage=Stage(found.value), reason=str(found.reason))

    def _own(self, scope: Scope) -> Scope:
        """The scope whose flag decides: a partition's own, else its entity's."""
        return scope if scope in self.flag_set.flags else scope.whole

    def _tell(self, scope: Scope, error: Exception) -> None:
        """Once per flag and version: it would fail for every user."""
        if scope.flag not in self._failed:
            self._failed.add(scope.flag)
            log.error(
                "flags.evaluation_failed", entity=scope.name, version=self.version, exc_info=error
            )

    def _effective(self, scope: Scope, raw: Stage | None) -> tuple[Stage, str]:
        """What the user really gets, and what changed flagd's answer."""
        state = self.flag_set.state(scope)
        if self.panic and may_go_back(state):
            return Stage.LEGACY, "panic"
        if raw is None:
            return safe_default(state), "safe default"
        stage = raw.clamp(state.floor, state.ceiling)
        if stage is raw:
            return stage, ""
        return stage, "floor" if stage.rank > raw.rank else "ceiling"

    def _highest_of(self, entity: str) -> Stage:
        decides = assets()[entity].flag_entity
        scopes = [Scope(entity=decides, partition=p) for p in ("", *self.split_partitions(entity))]
        return max((self._highest_in(scope) for scope in scopes), key=lambda stage: stage.rank)

    def _highest_in(self, scope: Scope) -> Stage:
        flag = self.flag_set.flag(scope)
        possible: list[Stage | None] = [*flag.stages] if flag else [None]
        effective = [self._effective(scope, stage)[0] for stage in possible]
        return max(effective, key=lambda stage: stage.rank)


def safe_default(state: EntityState) -> Stage:
    """The answer when there is none: legacy, but from floor `live` up never a legacy write (http-rules section 8)."""
    return Stage.LEGACY if may_go_back(state) else state.floor


def may_go_back(state: EntityState) -> bool:
    """Whether legacy may still be the authority."""
    return state.floor.rank < Stage.LIVE.rank


def read_snapshot(wire: bytes, *, kill_switch: bool = False) -> Snapshot:
    """The snapshot that `write_snapshot` wrote, perhaps in a newer release. Raises FlagSetInvalid, whatever the bytes are."""
    if len(wire) > LARGEST_DOCUMENT:
        raise FlagSetInvalid([f"a snapshot of more than {LARGEST_DOCUMENT} bytes is refused"])
    try:
        found = orjson.loads(wire)
    except orjson.JSONDecodeError:
        raise FlagSetInvalid(["the snapshot is not JSON"]) from None
    match found:
        case {"store": str(store), "version": int(version), "document": document} if (
            type(version) is int and version >= 0
        ):
            flag_set = read_flag_set(document, strict=False)
            return Snapshot(flag_set, version=version, store=store, kill_switch=kill_switch)
    raise FlagSetInvalid(["the snapshot must be an object with store, version and document"])


def write_snapshot(document: Mapping[str, Any], *, version: int, store: str) -> bytes:
    """What travels to the processes and lies on their disks."""
    return orjson.dumps({"store": store, "version": version, "document": document})


def bucket(salt: str, user: FlagUser) -> float:
    """The user's place in percent, found by asking flagd's own `fractional` where it cuts: exact to a thousandth."""
    key = salt + _SALT_SEPARATOR + user.sub
    low, high = 0, _BUCKETS
    while high - low > 1:
        cut = (low + high) // 2
        split = {"fractional": [key, ["below", cut], ["above", _BUCKETS - cut]]}
        low, high = (low, cut) if evaluate("", split) == "below" else (cut, high)
    return low / (_BUCKETS / 100)


def _context(user: FlagUser) -> EvaluationContext:
    return EvaluationContext(
        user.sub,
        {"role": user.role, "partner_id": user.partner_id, "cohorts": sorted(user.cohorts)},
    )


def _matching(rule: Canonical, user: FlagUser) -> Group | None:
    """The overrides that decide for this user, judged by flagd's own evaluator."""
    context = _context(user)
    return next((group for group in groups(rule) if evaluate("", group.condition, context)), None)


def _is_shared(flag: Flag | None) -> bool:
    return flag is not None and isinstance(flag.rule, Canonical)


def _rule_in_words(flag: Flag, answer: Answer, user: FlagUser) -> str:
    if answer.stage is None:
        return f"none: {answer.error.replace('_', ' ')}"
    if not isinstance(flag.rule, Canonical):
        return "hand-written targeting" if flag.rule.targeting else "the flag's default variant"
    group = _matching(flag.rule, user)
    if group is None:
        share = flag.rule.shares.of(answer.stage)
        return f"share: at least {answer.stage} for {share / (WHOLE / 100):g} percent"
    names = {By.USER: "this user", By.PARTNER: "the user's partner", By.ROLE: f"role {user.role}"}
    shown = names.get(group.by) or "cohort " + ", ".join(sorted(user.cohorts & set(group.values)))
    return f"override for {shown}: {group.stage}"
