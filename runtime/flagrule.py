"""The targeting of one flag: who gets which stage, in flagd's JSONLogic. Pure.

Canonical targeting is what our own commands write, and all that they edit:

    {"if": [<user in …>, "live", {"if": [<cohort …>, "shadow", … {"fractional": [<bucket key>, ["legacy", 900], …]}]}]}

First the overrides, most specific first (user, cohort, partner, role; within a kind the highest stage first), then the
shares: all six stages with integer weights that add up to 1,000, so a weight is a tenth of a percent. The stages stand in their
own order because `fractional` is only then monotonic: a bucket's number never changes, and raising a share moves
the lower edges down over more buckets. flagd knows `if` with three arguments only, hence the nesting.

Any other targeting is hand-written: accepted when `targeting_problems` finds none, evaluated, never edited.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby, pairwise
from typing import Any

from catalog.stage import Stage

STAGES = tuple(Stage)
WHOLE = 1_000
"""Weights of one flag together: a weight is a tenth of a percent."""
MOST_OVERRIDES = 500
DEEPEST = 60
_LARGEST_WEIGHT_SUM = 2_147_483_647


class By(StrEnum):
    """What an override names; in order of precedence."""

    USER = "user"
    COHORT = "cohort"
    PARTNER = "partner"
    ROLE = "role"


_ATTRIBUTE = {By.USER: "targetingKey", By.PARTNER: "partner_id", By.ROLE: "role"}
_COHORTS = {"var": "cohorts"}


@dataclass(frozen=True, kw_only=True)
class Override:
    """One user, cohort, partner or role that gets a stage whatever the shares say."""

    by: By
    value: str
    stage: Stage


_BYS = tuple(By)


def _precedence(override: Override) -> tuple[int, int, str]:
    return _BYS.index(override.by), -override.stage.rank, override.value


@dataclass(frozen=True, kw_only=True)
class Shares:
    """`at_least[i]`: tenths of a percent of the users who are at least at stage i. Never rising; everybody is at least `legacy`."""

    at_least: tuple[int, ...] = (WHOLE, 0, 0, 0, 0, 0)

    def __post_init__(self) -> None:
        falls = all(low >= high for low, high in pairwise(self.at_least))
        if len(self.at_least) != len(STAGES) or self.at_least[0] != WHOLE or not falls:
            raise ValueError("cumulative shares never rise from one stage to the next")
        if self.at_least[-1] < 0:
            raise ValueError("a share is at least 0")

    def of(self, stage: Stage) -> int:
        return self.at_least[stage.rank]

    def ramped(self, stage: Stage, tenths: int) -> "Shares":
        """At least `stage` for that many; a lower stage follows only where it would have fewer, a higher one where it would have more."""
        below = (max(share, tenths) for share in self.at_least[: stage.rank])
        above = (min(share, tenths) for share in self.at_least[stage.rank + 1 :])
        return Shares(at_least=(*below, tenths, *above))

    @property
    def weights(self) -> tuple[int, ...]:
        """How many are exactly at each stage, in stage order."""
        above = (*self.at_least[1:], 0)
        return tuple(low - high for low, high in zip(self.at_least, above, strict=True))


def shares_from(weights: Sequence[int]) -> Shares:
    """Shares from what `weights` says. Raises ValueError."""
    return Shares(at_least=tuple(sum(weights[index:]) for index in range(len(weights))))


@dataclass(frozen=True, kw_only=True)
class Canonical:
    """Targeting that our commands can edit."""

    overrides: tuple[Override, ...] = ()
    """In the order in which they are tried."""
    shares: Shares = Shares()

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrides", tuple(sorted(self.overrides, key=_precedence)))

    def with_override(self, override: Override) -> "Canonical":
        """The same user, cohort, partner or role has one override at most: the new one replaces it."""
        others = self.without(override.by, override.value).overrides
        return replace(self, overrides=(*others, override))

    def without(self, by: By, value: str) -> "Canonical":
        kept = tuple(o for o in self.overrides if (o.by, o.value) != (by, value))
        return replace(self, overrides=kept)

    def override(self, by: By, value: str) -> Override | None:
        return next((o for o in self.overrides if (o.by, o.value) == (by, value)), None)

    @property
    def stages(self) -> frozenset[Stage]:
        """Every stage that somebody gets, or could get."""
        shared = {s for s, weight in zip(STAGES, self.shares.weights, strict=True) if weight}
        return frozenset(shared | {override.stage for override in self.overrides})


@dataclass(frozen=True, kw_only=True)
class HandWritten:
    """Any other valid targeting, kept as it was written."""

    targeting: Mapping[str, Any]

    @property
    def stages(self) -> frozenset[Stage]:
        """Every stage that the targeting itself could give; the default variant comes on top."""
        return frozenset(_results(self.targeting)) if self.targeting else frozenset()


Rule = Canonical | HandWritten


@dataclass(frozen=True, kw_only=True)
class Group:
    """The overrides of one kind to one stage: one condition of the targeting."""

    by: By
    stage: Stage
    values: tuple[str, ...]

    @property
    def condition(self) -> dict[str, Any]:
        if self.by is By.COHORT:
            return {"or": [{"in": [value, _COHORTS]} for value in self.values]}
        return {"in": [{"var": _ATTRIBUTE[self.by]}, list(self.values)]}


def groups(rule: Canonical) -> Sequence[Group]:
    """The overrides in the order in which they are tried."""
    return [
        Group(by=by, stage=stage, values=tuple(override.value for override in some))
        for (by, stage), some in groupby(rule.overrides, key=lambda o: (o.by, o.stage))
    ]


def bucket_key(salt: str) -> dict[str, Any]:
    """What is hashed to a bucket. One salt per aggregate, so that its members and partitions agree about a user."""
    return {"cat": [f"{salt}.", {"var": "targetingKey"}]}


def write_rule(rule: Rule, salt: str) -> dict[str, Any]:
    """The rule as flagd's `targeting`."""
    if isinstance(rule, HandWritten):
        return dict(rule.targeting)
    weighted = [[str(s), w] for s, w in zip(STAGES, rule.shares.weights, strict=True)]
    node: dict[str, Any] = {"fractional": [bucket_key(salt), *weighted]}
    for group in reversed(groups(rule)):
        node = {"if": [group.condition, str(group.stage), node]}
    return node


def read_rule(targeting: Mapping[str, Any], salt: str) -> Rule:
    """The rule behind a `targeting` without problems: canonical if writing it again gives the same."""
    overrides: list[Override] = []
    node: Any = targeting
    while isinstance(node, Mapping) and "if" in node and len(node["if"]) == 3:
        condition, stage, node = node["if"]
        named = list(_named(condition))
        if not named or stage not in STAGES:
            break
        overrides += [Override(by=by, value=value, stage=Stage(stage)) for by, value in named]
    shares = _shares(node)
    if shares is not None:
        rule = Canonical(overrides=tuple(overrides), shares=shares)
        if write_rule(rule, salt) == targeting:
            return rule
    return HandWritten(targeting=targeting)


def _named(condition: Any) -> Iterator[tuple[By, str]]:
    """Whom a condition of ours names; nothing for any other. That it is exactly ours is seen when it is written again."""
    match condition:
        case {"or": [*alternatives]}:
            for alternative in alternatives:
                match alternative:
                    case {"in": [str(cohort), {"var": "cohorts"}]}:
                        yield By.COHORT, cohort
        case {"in": [{"var": attribute}, [*values]]}:
            for by, name in _ATTRIBUTE.items():
                if attribute == name:
                    yield from ((by, value) for value in values if isinstance(value, str))


def _shares(node: Any) -> Shares | None:
    match node:
        case {"fractional": [_, *weighted]} if len(weighted) == len(STAGES):
            if all(isinstance(pair, list) and len(pair) == 2 for pair in weighted):
                try:
                    return shares_from([weight for _, weight in weighted])
                except (TypeError, ValueError):
                    return None
    return None


_OPERATORS = frozenset(
    "if and or ! !! == === != !== < <= > >= in cat substr var some all none fractional starts_with ends_with".split()
)
_VARIABLES = frozenset({"targetingKey", "role", "partner_id", "cohorts", "$flagd.flagKey"})
_OVER_LISTS = frozenset({"some", "all", "none"})


def targeting_problems(targeting: Any) -> list[str]:
    """What is wrong with a `targeting`, a sentence each; none if flagd gives every user one of the six stages or the default.

    Stricter than flagd on purpose: what a user gets must be written out (so that the highest stage that anybody could get
    is known), and answers are kept per user and version (so time may not decide).
    """
    if not isinstance(targeting, Mapping):
        return ["`targeting` must be an object"]
    if not targeting:
        return []
    problems = list(_walk(targeting, 0, local=False))
    if not problems:
        problems += _result_problems(targeting)
    return problems


def _walk(node: Any, depth: int, *, local: bool) -> Iterator[str]:
    """Problems of a node and of what is in it. `local`: inside some, all or none, where `var` names parts of an element."""
    if depth > DEEPEST:
        yield f"is nested deeper than {DEEPEST} levels"
    elif isinstance(node, list):
        for item in node:
            yield from _walk(item, depth + 1, local=local)
    elif isinstance(node, Mapping):
        yield from _walk_operation(node, depth, local=local)


def _walk_operation(node: Mapping[str, Any], depth: int, *, local: bool) -> Iterator[str]:
    if len(node) != 1:
        yield "holds an object with other than one key; an operation has exactly one"
        return
    operator, arguments = next(iter(node.items()))
    if operator not in _OPERATORS:
        yield f"uses {operator!r}; known are {', '.join(sorted(_OPERATORS))}"
    elif operator == "var":
        yield from _variable_problems(arguments, local=local)
    elif operator == "fractional":
        yield from _fractional_problems(arguments, depth, local=local)
    elif operator == "if" and not (isinstance(arguments, list) and len(arguments) in (2, 3)):
        yield "has an `if` with other than three arguments; flagd knows condition, then, else: nest another `if`"
    elif operator in _OVER_LISTS and isinstance(arguments, list) and len(arguments) == 2:
        yield from _walk(arguments[0], depth + 1, local=local)
        yield from _walk(arguments[1], depth + 1, local=True)
    else:
        yield from _walk(arguments, depth + 1, local=local)


def _variable_problems(arguments: Any, *, local: bool) -> Iterator[str]:
    name = arguments[0] if isinstance(arguments, list) and arguments else arguments
    if not isinstance(name, str):
        yield "has a `var` without a name"
    elif not local and name not in _VARIABLES:
        yield f"asks for {name!r}; a user has {', '.join(sorted(_VARIABLES))}"


def _fractional_problems(arguments: Any, depth: int, *, local: bool) -> Iterator[str]:
    if not isinstance(arguments, list) or not arguments:
        yield "has a `fractional` without shares"
        return
    weighted = arguments if isinstance(arguments[0], list) else arguments[1:]
    if weighted is not arguments:
        yield from _walk(arguments[0], depth + 1, local=local)
    names, weights = [], []
    for pair in weighted:
        if not (isinstance(pair, list) and len(pair) == 2 and type(pair[1]) is int):
            yield 'has a share that is not ["<stage>", <whole number>]; flagd ignores a `fractional` with any other weight'
            return
        names.append(pair[0])
        weights.append(pair[1])
    if any(weight < 0 for weight in weights) or not 0 < sum(weights) <= _LARGEST_WEIGHT_SUM:
        yield f"has weights below 0, or that do not add up to 1 to {_LARGEST_WEIGHT_SUM:,}"
    unknown = [str(name) for name in names if name not in STAGES]
    if unknown:
        yield f"splits into {', '.join(unknown)}; stages are {', '.join(STAGES)}"
    elif any(Stage(low).rank >= Stage(high).rank for low, high in pairwise(names)):
        yield "splits into stages out of their order: raising one share would move users backward"


def _result_problems(node: Any) -> Iterator[str]:
    """What stands where a stage is expected, and is none."""
    match node:
        case None:
            pass
        case str():
            if node not in STAGES:
                yield f"gives {node!r}; stages are {', '.join(STAGES)}"
        case {"if": [_, *results]}:
            for result in results:
                yield from _result_problems(result)
        case {"fractional": _}:
            pass
        case _:
            yield 'computes its result; write the stages out: a result is "<stage>", null, an `if` or a `fractional`'


def _results(node: Any) -> Iterator[Stage]:
    """The stages that a targeting without problems can give."""
    match node:
        case str():
            yield Stage(node)
        case {"if": [_, *results]}:
            for result in results:
                yield from _results(result)
        case {"fractional": [*arguments]}:
            yield from (Stage(a[0]) for a in arguments if isinstance(a, list) and a[1])
