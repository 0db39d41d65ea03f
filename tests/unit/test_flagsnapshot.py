"""A snapshot's answers: by flagd's evaluator, clamped, never failing, and the same again from memory."""

import random
import uuid

import orjson
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import assets
from catalog.stage import Stage
from runtime import flagsnapshot
from runtime.flagchange import Allow, Change, Panic, Ramp, SetOverride, apply
from runtime.flagrule import STAGES, By, HandWritten, Override
from runtime.flagset import (
    EntityState,
    Flag,
    FlagSet,
    FlagSetInvalid,
    Scope,
    first_flag_set,
    write_flag_set,
)
from runtime.flagsnapshot import FlagUser, Snapshot, read_snapshot, write_snapshot

pytestmark = pytest.mark.unit

LAB = Scope(entity="lab_orders")
TASKS = Scope(entity="compliance_tasks")
CONSENT = Scope(entity="compliance_tasks", partition="consent_renewal")
START = first_flag_set(Stage.COMPLETE)
PATIENT = FlagUser(sub="0f0f0f0f-0000-4000-8000-000000000001", role="patient")


def after(*changes: Change, start: FlagSet = START) -> FlagSet:
    for change in changes:
        start = apply(start, change).flag_set
    return start


def ramp(tenths: int, stage: Stage = Stage.LIVE, scope: Scope = LAB) -> Ramp:
    return Ramp(scope=scope, stage=stage, tenths=tenths)


def override(
    stage: Stage, by: By = By.USER, value: str = PATIENT.sub, scope: Scope = LAB
) -> SetOverride:
    return SetOverride(scope=scope, override=Override(by=by, value=value, stage=stage))


def users(count: int) -> list[FlagUser]:
    draw = random.Random(7)
    return [FlagUser(sub=str(uuid.UUID(int=draw.getrandbits(128)))) for _ in range(count)]


def test_members_of_an_aggregate_agree_about_every_user():
    snapshot = Snapshot(after(ramp(300), ramp(500, scope=Scope(entity="appointments"))))
    for user in users(300):
        assert snapshot.stage("lab_orders", user) is snapshot.stage("lab_order_events", user)
        assert snapshot.stage("appointments", user) is snapshot.stage("appointment_requests", user)


def test_shares_are_kept_and_nobody_moves_backward_on_a_ramp_up():
    everybody = users(4000)
    before = dict.fromkeys(everybody, Stage.LEGACY)
    flag_set = START
    for tenths in (10, 50, 250, 500, 1000):
        flag_set = after(ramp(tenths), start=flag_set)
        snapshot = Snapshot(flag_set)
        now = {user: snapshot.stage("lab_orders", user) for user in everybody}
        assert all(now[user].rank >= before[user].rank for user in everybody)
        share = sum(stage is Stage.LIVE for stage in now.values()) / len(now)
        assert share == pytest.approx(tenths / 1000, abs=0.02)
        before = now


def test_claims_decide_by_override():
    partner = SetOverride(
        scope=LAB, override=Override(by=By.PARTNER, value="p1", stage=Stage.COMPLETE)
    )
    cohort = SetOverride(
        scope=LAB, override=Override(by=By.COHORT, value="beta", stage=Stage.SHADOW)
    )
    snapshot = Snapshot(after(partner, cohort, override(Stage.LIVE)))
    assert snapshot.stage("lab_orders", PATIENT) is Stage.LIVE
    other = PATIENT._replace(sub="somebody-else")
    assert snapshot.stage("lab_orders", other) is Stage.LEGACY
    assert snapshot.stage("lab_orders", other._replace(partner_id="p1")) is Stage.COMPLETE
    tester = other._replace(partner_id="p1", cohorts=frozenset({"beta", "x"}))
    assert snapshot.stage("lab_orders", tester) is Stage.SHADOW


stages = st.sampled_from(Stage)


@settings(deadline=None)
@given(raw=stages, bounds=st.tuples(stages, stages), panic=st.booleans())
def test_floor_ceiling_and_panic_bound_every_answer(raw, bounds, panic):
    floor, ceiling = sorted(bounds, key=lambda stage: stage.rank)
    flag_set = after(override(raw), Allow(scope=LAB, floor=floor, ceiling=ceiling), Panic(on=panic))
    snapshot = Snapshot(flag_set)
    stage = snapshot.stage("lab_orders", PATIENT)
    if panic and floor.rank < Stage.LIVE.rank:
        assert stage is Stage.LEGACY
    else:
        assert floor.rank <= stage.rank <= ceiling.rank
        assert stage is raw.clamp(floor, ceiling)
    assert snapshot.highest("lab_orders").rank >= stage.rank


def test_the_kill_switch_is_panic_for_one_process():
    snapshot = Snapshot(after(ramp(1000)), version=4, store="s")
    assert snapshot.stage("lab_orders", PATIENT) is Stage.LIVE
    pulled = snapshot.with_kill_switch(True)
    assert (pulled.version, pulled.store, pulled.panic) == (4, "s", True)
    assert pulled.stage("lab_orders", PATIENT) is Stage.LEGACY
    assert pulled.highest("lab_orders") is Stage.LEGACY
    assert snapshot.stage("lab_orders", PATIENT) is Stage.LIVE
    assert pulled.with_kill_switch(False).stage("lab_orders", PATIENT) is Stage.LIVE


# Passes the check of form, and flagd's evaluator raises on it: there is no character at infinity.
BREAKS = HandWritten(targeting={"if": [{"substr": [{"var": "role"}, "1e999"]}, "live", "live"]})


@pytest.mark.parametrize("flags", [{}, {LAB: Flag(rule=BREAKS)}], ids=["missing", "breaks"])
@pytest.mark.parametrize(
    ("floor", "answer"),
    [
        (Stage.LEGACY, Stage.LEGACY),
        (Stage.DUAL_WRITE, Stage.LEGACY),
        (Stage.LIVE, Stage.LIVE),
        (Stage.COMPLETE, Stage.COMPLETE),
    ],
)
def test_no_answer_is_legacy_below_floor_live_and_the_floor_above(flags, floor, answer):
    states = {LAB: EntityState(floor=floor, ceiling=Stage.COMPLETE)}
    snapshot = Snapshot(FlagSet(flags=flags, states=states))
    with structlog.testing.capture_logs() as logged:
        assert snapshot.stage("lab_orders", PATIENT) is answer
        assert snapshot.stage("lab_orders", PATIENT._replace(sub="other")) is answer
    assert [line["event"] for line in logged] == ["flags.evaluation_failed"] * len(flags)
    explained = snapshot.explain("lab_orders", PATIENT)
    assert (explained.stage, explained.clamped, explained.variant) == (answer, "safe default", None)


def test_an_entity_that_is_not_in_the_catalog_is_a_programming_error():
    with pytest.raises(KeyError):
        Snapshot(START).stage("labs", PATIENT)


def test_partitions_answer_by_their_own_flag_and_state():
    flag_set = after(ramp(1000, scope=TASKS), ramp(0, Stage.SHADOW, CONSENT))
    snapshot = Snapshot(flag_set)
    assert snapshot.split_partitions("compliance_tasks") == ("consent_renewal",)
    assert snapshot.split_partitions("lab_orders") == ()
    assert snapshot.stage("compliance_tasks", PATIENT, "consent_renewal") is Stage.LEGACY
    assert snapshot.stage("compliance_tasks", PATIENT, "follow_up_call") is Stage.LIVE
    assert snapshot.stage("compliance_tasks", PATIENT) is Stage.LIVE
    assert snapshot.highest("compliance_tasks") is Stage.LIVE

    clamped = Snapshot(
        after(Allow(scope=CONSENT, ceiling=Stage.SHADOW), start=after(ramp(1000, scope=TASKS)))
    )
    assert clamped.split_partitions("compliance_tasks") == ("consent_renewal",)
    assert clamped.stage("compliance_tasks", PATIENT, "consent_renewal") is Stage.SHADOW
    assert clamped.state("compliance_tasks", "consent_renewal").ceiling is Stage.SHADOW
    assert clamped.state("compliance_tasks").ceiling is Stage.COMPLETE
    assert clamped.explain("compliance_tasks", PATIENT, "consent_renewal").clamped == "ceiling"


@pytest.mark.parametrize(
    ("changes", "highest"),
    [
        ((), Stage.LEGACY),
        ((ramp(1),), Stage.LIVE),
        ((override(Stage.RAMP_DOWN),), Stage.RAMP_DOWN),
        ((ramp(1), Allow(scope=LAB, ceiling=Stage.SHADOW)), Stage.SHADOW),
        ((Allow(scope=LAB, floor=Stage.DUAL_WRITE),), Stage.DUAL_WRITE),
    ],
)
def test_the_highest_stage_is_what_anybody_could_be_given(changes, highest):
    snapshot = Snapshot(after(*changes))
    assert snapshot.highest("lab_orders") is highest
    assert snapshot.highest("lab_order_events") is highest


def test_the_highest_stage_counts_a_hand_written_default():
    rule = HandWritten(targeting={"if": [{"in": ["b", {"var": "cohorts"}]}, "shadow", None]})
    flags = {LAB: Flag(rule=rule, default=Stage.RAMP_DOWN)}
    snapshot = Snapshot(FlagSet(flags=flags, states=START.states))
    assert snapshot.highest("lab_orders") is Stage.RAMP_DOWN
    assert snapshot.stage("lab_orders", PATIENT) is Stage.RAMP_DOWN


def test_the_bucket_is_where_flagd_really_cuts():
    for user in users(25):
        bucket = flagsnapshot.bucket("lab_orders", user)
        assert 0 <= bucket < 100
        share = round((100 - bucket) * 10)  # the smallest share that surely holds the user, +-1
        inside = Snapshot(after(ramp(min(share + 1, 1000))))
        outside = Snapshot(after(ramp(max(share - 1, 0))))
        assert inside.stage("lab_orders", user) is Stage.LIVE
        assert outside.stage("lab_orders", user) is Stage.LEGACY


def test_explain_names_rule_bucket_clamp_epoch_and_version():
    flag_set = after(
        ramp(1000), Allow(scope=LAB, ceiling=Stage.SHADOW), override(Stage.COMPLETE, value="u2")
    )
    snapshot = Snapshot(flag_set, version=12, store="store")
    explained = snapshot.explain("lab_order_events", PATIENT)
    assert explained.flag == "lab_orders.stage"
    assert explained.rule == "share: at least live for 100 percent"
    assert explained.reason == "SPLIT"
    assert (explained.variant, explained.clamped, explained.stage) == (
        "live",
        "ceiling",
        Stage.SHADOW,
    )
    assert (explained.epoch, explained.version, explained.store) == (2, 12, "store")

    by_user = snapshot.explain("lab_orders", PATIENT._replace(sub="u2"))
    assert (by_user.rule, by_user.reason) == (
        "override for this user: complete",
        "TARGETING_MATCH",
    )
    raised = Snapshot(after(Allow(scope=LAB, floor=Stage.LIVE)))
    assert raised.explain("lab_orders", PATIENT).clamped == "floor"
    panicking = Snapshot(after(Panic(on=True)))
    assert panicking.explain("lab_orders", PATIENT).clamped == "panic"


@pytest.mark.parametrize(
    ("override_by", "value", "user", "words"),
    [
        (By.COHORT, "beta", FlagUser(sub="x", cohorts=frozenset({"beta"})), "cohort beta"),
        (By.PARTNER, "p", FlagUser(sub="x", partner_id="p"), "the user's partner"),
        (By.ROLE, "admin", FlagUser(sub="x", role="admin"), "role admin"),
    ],
)
def test_explain_puts_overrides_into_words(override_by, value, user, words):
    snapshot = Snapshot(after(override(Stage.LIVE, override_by, value)))
    assert snapshot.explain("lab_orders", user).rule == f"override for {words}: live"


def test_explain_agrees_with_stage_for_everybody():
    flag_set = after(ramp(400), ramp(900, Stage.SHADOW), override(Stage.COMPLETE, By.ROLE, "admin"))
    snapshot = Snapshot(flag_set)
    for user in [*users(50), *(user._replace(role="admin") for user in users(5))]:
        for entity in assets():
            assert snapshot.explain(entity, user).stage is snapshot.stage(entity, user)


def test_hand_written_targeting_and_defaults_are_told_as_such():
    written = HandWritten(targeting={"if": [{"in": ["b", {"var": "cohorts"}]}, "live", None]})
    flags = {LAB: Flag(rule=written), TASKS: Flag(rule=HandWritten(targeting={}))}
    snapshot = Snapshot(FlagSet(flags=flags, states=START.states))
    explained = snapshot.explain("lab_orders", PATIENT)
    assert (explained.rule, explained.reason, explained.bucket) == (
        "hand-written targeting",
        "DEFAULT",
        None,
    )
    static = snapshot.explain("compliance_tasks", PATIENT)
    assert (static.rule, static.reason) == ("the flag's default variant", "STATIC")


def test_answers_are_remembered_within_bounds(monkeypatch):
    monkeypatch.setattr(flagsnapshot, "REMEMBERED", 10)
    snapshot = Snapshot(after(ramp(500)))
    everybody = users(100)
    first = [snapshot.stage("lab_orders", user) for user in everybody]
    assert len(snapshot._young) + len(snapshot._old) <= 20
    assert [snapshot.stage("lab_orders", user) for user in everybody] == first


def test_what_is_remembered_is_not_asked_again(monkeypatch):
    snapshot = Snapshot(START)
    snapshot.stage("lab_orders", PATIENT)
    monkeypatch.setattr(Snapshot, "_ask", None)
    assert snapshot.stage("lab_orders", PATIENT) is Stage.LEGACY
    with pytest.raises(TypeError):
        snapshot.stage("lab_orders", PATIENT._replace(role="admin"))


def test_a_snapshot_travels():
    flag_set = after(ramp(125), Allow(scope=LAB, backfilled=True), Panic(on=True))
    wire = write_snapshot(write_flag_set(flag_set), version=9, store="s")
    there = read_snapshot(wire)
    assert (there.version, there.store, there.flag_set) == (9, "s", flag_set)
    assert there.panic


DOCUMENT = write_flag_set(START)


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{" * 5000,
        b" " * (1024 * 1024 + 1),
        orjson.dumps({"version": 1, "document": DOCUMENT}),
        orjson.dumps({"store": "s", "version": "1", "document": DOCUMENT}),
        orjson.dumps({"store": "s", "version": True, "document": DOCUMENT}),
        orjson.dumps({"store": "s", "version": -1, "document": DOCUMENT}),
        orjson.dumps({"store": "s", "version": 1, "document": None}),
        orjson.dumps({"store": "s", "version": 1, "document": {"flags": {"lab_orders.stage": 1}}}),
    ],
)
def test_garbage_is_no_snapshot(wire):
    with pytest.raises(FlagSetInvalid):
        read_snapshot(wire)


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise_anything_else(wire):
    with pytest.raises(FlagSetInvalid):
        read_snapshot(wire)


def test_every_stage_can_be_given():
    snapshot = Snapshot(after(*(override(stage, value=f"user-{stage}") for stage in STAGES)))
    given = {snapshot.stage("lab_orders", FlagUser(sub=f"user-{stage}")) for stage in STAGES}
    assert given == set(STAGES)
