"""Operators' changes: what each makes of the flag set, when a second person is needed, and what is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.stage import Stage
from runtime.flagchange import (
    Allow,
    Change,
    ChangeRefused,
    Panic,
    Ramp,
    SetOverride,
    UnsetOverride,
    apply,
    before,
    needs_approver,
    percent,
    tenths_of,
)
from runtime.flagrule import STAGES, By, Canonical, HandWritten, Override
from runtime.flagset import Flag, FlagSet, Scope, checked, first_flag_set

pytestmark = pytest.mark.unit

LAB = Scope(entity="lab_orders")
CONSENT = Scope(entity="compliance_tasks", partition="consent_renewal")
START = first_flag_set(Stage.COMPLETE)


def ramp(percentage: float, stage: Stage = Stage.LIVE, scope: Scope = LAB) -> Ramp:
    return Ramp(scope=scope, stage=stage, tenths=tenths_of(percentage))


def override(
    stage: Stage = Stage.LIVE, by: By = By.USER, value: str = "u1", scope: Scope = LAB
) -> SetOverride:
    return SetOverride(scope=scope, override=Override(by=by, value=value, stage=stage))


def after(*changes: Change, start: FlagSet = START) -> FlagSet:
    for change in changes:
        start = apply(start, change).flag_set
    return start


def rule_of(flag_set: FlagSet, scope: Scope = LAB) -> Canonical:
    flag = flag_set.flag(scope)
    assert flag is not None
    assert isinstance(flag.rule, Canonical)
    return flag.rule


def shares(flag_set: FlagSet, scope: Scope = LAB) -> list[float]:
    return [percent(tenths) for tenths in rule_of(flag_set, scope).shares.at_least[1:]]


def test_a_ramp_is_cumulative_and_leaves_lower_stages_alone():
    flag_set = after(ramp(100, Stage.SHADOW), ramp(40, Stage.DUAL_WRITE), ramp(10), ramp(25))
    assert shares(flag_set) == [100, 40, 25, 0, 0]
    assert shares(after(ramp(60), start=flag_set)) == [100, 60, 60, 0, 0]


def test_a_ramp_says_which_shares_fall_and_how_far_the_furthest_moves():
    up = apply(after(ramp(10)), ramp(25))
    assert (up.down, up.tenths) == ((), 150)
    flag_set = after(ramp(80), ramp(40, Stage.COMPLETE))
    down = apply(flag_set, ramp(25))
    assert down.down == (Stage.LIVE, Stage.RAMP_DOWN, Stage.COMPLETE)
    assert down.tenths == 550
    assert shares(down.flag_set) == [80, 80, 25, 25, 25]


def test_ramping_to_what_is_there_changes_nothing():
    flag_set = after(ramp(25))
    assert apply(flag_set, ramp(25)).flag_set == flag_set


@given(st.lists(st.tuples(st.sampled_from(STAGES[1:]), st.integers(0, 1000)), max_size=8))
def test_whatever_is_ramped_may_be_stored(ramps):
    changes = [Ramp(scope=LAB, stage=stage, tenths=tenths) for stage, tenths in ramps]
    flag_set = after(*changes)
    assert checked(flag_set) == flag_set


def test_a_partition_starts_from_its_entitys_flag():
    flag_set = after(ramp(30, scope=CONSENT.whole), ramp(50, scope=CONSENT))
    assert shares(flag_set, CONSENT.whole) == [30, 30, 30, 0, 0]
    assert shares(flag_set, CONSENT) == [50, 50, 50, 0, 0]
    raised = after(ramp(10, Stage.COMPLETE, CONSENT), start=after(ramp(30, scope=CONSENT.whole)))
    assert shares(raised, CONSENT) == [30, 30, 30, 10, 10]


def test_overrides_are_set_replaced_and_unset():
    flag_set = after(override(), override(Stage.SHADOW), override(by=By.ROLE, value="admin"))
    rule = rule_of(flag_set)
    assert rule.override(By.USER, "u1") == override(Stage.SHADOW).override
    assert len(rule.overrides) == 2
    unset = UnsetOverride(scope=LAB, by=By.USER, value="u1")
    assert rule_of(after(unset, start=flag_set)).override(By.USER, "u1") is None


@pytest.mark.parametrize(
    ("start", "change", "code"),
    [
        (START, ramp(50, Stage.LEGACY), "nothing_to_ramp"),
        (START, UnsetOverride(scope=LAB, by=By.USER, value="u1"), "no_such_override"),
        (START, Allow(scope=LAB, floor=Stage.LIVE, ceiling=Stage.SHADOW), "floor_above_ceiling"),
        (
            replace(START, flags={LAB: Flag(rule=HandWritten(targeting={}))}),
            ramp(50),
            "hand_written",
        ),
        (
            replace(START, flags={LAB: Flag(rule=HandWritten(targeting={}))}),
            override(),
            "hand_written",
        ),
        (
            replace(
                START,
                flags={
                    LAB: Flag(
                        rule=Canonical(
                            overrides=tuple(
                                Override(by=By.USER, value=str(n), stage=Stage.LIVE)
                                for n in range(500)
                            )
                        )
                    )
                },
            ),
            override(value="one more"),
            "too_many_overrides",
        ),
    ],
)
def test_what_is_refused_says_why_and_what_to_do(start, change, code):
    with pytest.raises(ChangeRefused) as refused:
        apply(start, change)
    assert refused.value.code == code
    assert all(len(reason) > 30 for reason in refused.value.reasons)


@pytest.mark.parametrize("wrong", [-1, 100.1, 12.34, 1000, 0.05])
def test_a_percentage_has_one_decimal_at_most(wrong):
    with pytest.raises(ChangeRefused):
        tenths_of(wrong)


def test_percentages_come_back_as_they_were_typed():
    assert [percent(tenths_of(given)) for given in (0, 0.1, 12.5, 33.3, 100)] == [
        0,
        0.1,
        12.5,
        33.3,
        100,
    ]


@pytest.mark.parametrize(
    ("floor", "ceiling", "epochs"),
    [
        (None, Stage.SHADOW, 1),  # the ceiling comes down across live
        (Stage.SHADOW, None, 0),
        (Stage.LIVE, None, 1),
        (Stage.COMPLETE, None, 1),
        (None, Stage.LIVE, 0),
        (Stage.SHADOW, Stage.DUAL_WRITE, 1),
    ],
)
def test_the_epoch_rises_exactly_when_floor_or_ceiling_crosses_live(floor, ceiling, epochs):
    changed = after(Allow(scope=LAB, floor=floor, ceiling=ceiling))
    assert changed.state(LAB).epoch == START.state(LAB).epoch + epochs
    back = Allow(scope=LAB, floor=Stage.LEGACY, ceiling=Stage.COMPLETE)
    assert after(back, start=changed).state(LAB).epoch == START.state(LAB).epoch + 2 * epochs


def test_what_is_left_out_of_a_state_stays():
    changed = after(Allow(scope=LAB, backfilled=True), Allow(scope=LAB, floor=Stage.SHADOW))
    state = changed.state(LAB)
    assert (state.floor, state.ceiling, state.backfilled) == (Stage.SHADOW, Stage.COMPLETE, True)
    assert apply(changed, Allow(scope=LAB, backfilled=True)).flag_set == changed


def test_the_first_state_of_a_partition_is_its_own_from_then_on():
    changed = after(Allow(scope=CONSENT, backfilled=False))
    assert CONSENT in changed.states
    later = after(Allow(scope=CONSENT.whole, backfilled=True), start=changed)
    assert not later.state(CONSENT).backfilled


def test_a_stage_out_of_bounds_is_allowed_with_a_warning():
    low = after(Allow(scope=LAB, ceiling=Stage.SHADOW))
    assert "may not go above shadow yet" in apply(low, ramp(5)).warnings[0]
    assert apply(low, ramp(0)).warnings == ()
    high = after(Allow(scope=LAB, floor=Stage.LIVE))
    assert "may not go below live" in apply(high, override(Stage.LEGACY)).warnings[0]
    assert apply(START, ramp(5)).warnings == ()


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        (ramp(10), False),
        (ramp(10.1), True),
        (override(), False),
        (override(by=By.COHORT), False),
        (override(by=By.ROLE), True),
        (Allow(scope=LAB, ceiling=Stage.LIVE), True),
        (Allow(scope=LAB, floor=Stage.SHADOW), True),
        (Allow(scope=LAB, backfilled=True), False),
        (Panic(on=True), False),
    ],
)
def test_a_second_person_is_needed_where_many_can_move(change, needed):
    assert needs_approver(change, apply(START, change), points=10) is needed


def test_taking_many_back_needs_a_second_person_too():
    flag_set = after(ramp(50))
    assert needs_approver(ramp(30), apply(flag_set, ramp(30)), points=10)
    by_role = after(override(by=By.ROLE), start=flag_set)
    unset = UnsetOverride(scope=LAB, by=By.ROLE, value="u1")
    assert needs_approver(unset, apply(by_role, unset), points=10)


def test_panic_is_part_of_the_document():
    assert after(Panic(on=True)).panic
    assert not after(Panic(on=True), Panic(on=False)).panic


def test_an_approval_starts_from_what_the_change_starts_from():
    assert before(START, ramp(5)) == before(after(ramp(9, scope=CONSENT)), ramp(5))
    assert before(START, ramp(5)) != before(after(ramp(1)), ramp(5))
    assert before(START, ramp(5)) != before(after(Allow(scope=LAB, floor=Stage.SHADOW)), ramp(5))
    assert before(START, Panic(on=True)) == {"panic": False}


def test_a_flag_that_is_not_there_yet_is_made_by_its_first_change():
    empty = FlagSet(flags={}, states={})
    assert shares(after(ramp(5), start=empty)) == [5, 5, 5, 0, 0]
