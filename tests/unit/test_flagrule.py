"""Targeting: canonical rules survive the way through flagd's JSON, and nothing but a valid targeting is accepted."""

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature.contrib.tools.flagd.core.targeting import targeting as evaluate
from openfeature.evaluation_context import EvaluationContext

from catalog.stage import Stage
from runtime.flagrule import (
    STAGES,
    WHOLE,
    By,
    Canonical,
    HandWritten,
    Override,
    Shares,
    read_rule,
    targeting_problems,
    write_rule,
)

pytestmark = pytest.mark.unit

shares = st.lists(st.integers(0, WHOLE), min_size=5, max_size=5).map(
    lambda drawn: Shares(at_least=(WHOLE, *sorted(drawn, reverse=True)))
)
overrides = st.builds(
    Override,
    by=st.sampled_from(By),
    value=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=8),
    stage=st.sampled_from(Stage),
)
rules = st.builds(
    Canonical,
    overrides=st.lists(overrides, max_size=12, unique_by=lambda o: (o.by, o.value)).map(tuple),
    shares=shares,
)


@given(rules)
def test_a_canonical_rule_survives_writing_and_reading(rule):
    written = write_rule(rule, "lab_orders")
    assert targeting_problems(written) == []
    assert read_rule(written, "lab_orders") == rule


@given(shares, st.sampled_from(STAGES[1:]), st.integers(0, WHOLE))
def test_a_ramp_sets_its_share_and_moves_others_no_further_than_it_must(before, stage, tenths):
    after = before.ramped(stage, tenths)
    assert after.of(stage) == tenths
    for other in STAGES:
        if other.rank < stage.rank:
            assert after.of(other) == max(before.of(other), tenths)
        if other.rank > stage.rank:
            assert after.of(other) == min(before.of(other), tenths)
    assert sum(after.weights) == WHOLE


def test_a_rising_share_is_refused():
    with pytest.raises(ValueError, match="never rise"):
        Shares(at_least=(WHOLE, 10, 20, 0, 0, 0))


def given_to(rule: Canonical, **claims: Any) -> object:
    context = EvaluationContext(claims.pop("sub", str(uuid.uuid4())), {"cohorts": [], **claims})
    return evaluate("lab_orders.stage", write_rule(rule, "lab_orders"), context)


def test_the_most_specific_override_wins_and_within_a_kind_the_highest_stage():
    rule = Canonical(
        overrides=(
            Override(by=By.ROLE, value="patient", stage=Stage.COMPLETE),
            Override(by=By.PARTNER, value="p1", stage=Stage.RAMP_DOWN),
            Override(by=By.COHORT, value="careful", stage=Stage.SHADOW),
            Override(by=By.COHORT, value="bold", stage=Stage.LIVE),
            Override(by=By.USER, value="u1", stage=Stage.LEGACY),
        )
    )
    everything = {"role": "patient", "partner_id": "p1", "cohorts": ["careful", "bold"]}
    assert given_to(rule, sub="u1", **everything) == "legacy"
    assert given_to(rule, **everything) == "live"
    assert given_to(rule, **{**everything, "cohorts": ["careful"]}) == "shadow"
    assert given_to(rule, **{**everything, "cohorts": []}) == "ramp_down"
    assert given_to(rule, role="patient", partner_id="p2") == "complete"
    assert given_to(rule, role="clinician", partner_id="p2") == "legacy"


def test_a_new_override_replaces_the_old_one_of_the_same_user():
    rule = Canonical().with_override(Override(by=By.USER, value="u1", stage=Stage.LIVE))
    rule = rule.with_override(Override(by=By.USER, value="u1", stage=Stage.SHADOW))
    assert rule.overrides == (Override(by=By.USER, value="u1", stage=Stage.SHADOW),)
    assert rule.without(By.USER, "u1") == Canonical()


KEY = {"cat": ["lab_orders.", {"var": "targetingKey"}]}
IN_COHORT = {"in": ["beta", {"var": "cohorts"}]}


@pytest.mark.parametrize(
    ("targeting", "stages"),
    [
        ({}, set()),
        ({"if": [IN_COHORT, "live", None]}, {"live"}),
        ({"if": [IN_COHORT, "live"]}, {"live"}),
        ({"fractional": [["legacy", 9], ["live", 1]]}, {"legacy", "live"}),
        ({"fractional": [KEY, ["legacy", 9], ["shadow", 0], ["live", 1]]}, {"legacy", "live"}),
        (
            {"if": [{"some": [{"var": "cohorts"}, {"starts_with": [{"var": ""}, "t-"]}]}, "shadow", "live"]},
            {"shadow", "live"},
        ),
        ({"if": [{"==": [{"var": ["role", ""]}, "admin"]}, "complete", {"if": [IN_COHORT, "live", "legacy"]}]},
         {"complete", "live", "legacy"}),
        # canonical but for the salt, and but for the order of its overrides
        (write_rule(Canonical(), "submissions"), {"legacy"}),
        ({"if": [{"in": [{"var": "role"}, ["a"]]}, "live",
                 {"if": [{"in": [{"var": "targetingKey"}, ["u"]]}, "shadow", write_rule(Canonical(), "lab_orders")]}]},
         {"live", "shadow", "legacy"}),
    ],
)  # fmt: skip
def test_valid_targeting_that_is_not_ours_is_kept_as_it_is(targeting, stages):
    assert targeting_problems(targeting) == []
    rule = read_rule(targeting, "lab_orders")
    assert isinstance(rule, HandWritten)
    assert write_rule(rule, "lab_orders") == targeting
    assert rule.stages == stages


@pytest.mark.parametrize(
    ("targeting", "says"),
    [
        ("live", "must be an object"),
        ({"fractional": [KEY, ["legacy", 90.5], ["live", 9.5]]}, "whole number"),
        ({"fractional": [KEY, ["legacy", True], ["live", 1]]}, "whole number"),
        ({"fractional": [KEY, ["legacy", "90"], ["live", 10]]}, "whole number"),
        ({"fractional": [KEY, ["live"]]}, "whole number"),
        ({"fractional": [KEY, ["legacy", -1], ["live", 2]]}, "below 0"),
        ({"fractional": [KEY, ["legacy", 0], ["live", 0]]}, "add up"),
        ({"fractional": [KEY, ["legacy", 2_147_483_647], ["live", 1]]}, "add up"),
        ({"fractional": [KEY, ["live", 10], ["legacy", 90]]}, "out of their order"),
        ({"fractional": [KEY, ["live", 10], ["live", 90]]}, "out of their order"),
        ({"fractional": [KEY, ["legacy", 10], ["alive", 90]]}, "splits into alive"),
        ({"fractional": []}, "without shares"),
        ({"if": [IN_COHORT, "alive", None]}, "gives 'alive'"),
        ({"if": [IN_COHORT, {"var": "role"}, "legacy"]}, "computes its result"),
        ({"cat": ["li", "ve"]}, "computes its result"),
        ({"if": [IN_COHORT, True, "legacy"]}, "computes its result"),
        ({"if": [IN_COHORT, "live", IN_COHORT, "shadow", "legacy"]}, "other than three"),
        ({"if": [{"==": [{"var": "email"}, "x"]}, "live", "legacy"]}, "asks for 'email'"),
        ({"if": [{"<": [{"var": "$flagd.timestamp"}, 5]}, "live", "legacy"]}, "asks for"),
        ({"if": [{"var": 5}, "live", "legacy"]}, "without a name"),
        ({"if": [{"log": ["x"]}, "live", "legacy"]}, "uses 'log'"),
        ({"if": [{}, "live", "legacy"]}, "other than one key"),
        ({"$ref": "shared"}, "uses '$ref'"),
    ],
)
def test_invalid_targeting_is_refused_with_a_reason(targeting, says):
    assert says in " ".join(targeting_problems(targeting))


def test_targeting_cannot_be_nested_without_end():
    node: object = "live"
    for _ in range(200):
        node = {"!": [node]}
    assert "nested deeper" in " ".join(targeting_problems({"if": [node, "live", "legacy"]}))
