"""A remembered plan is the plan, and no older than the flags."""

import weakref
from dataclasses import replace

import pytest

from catalog.stage import Side, Stage
from gateway.plan import Read
from gateway.plans import Plans, whole_plan
from gateway.user import User
from routes import resources
from routes.match import Match
from runtime.flagset import EntityState, FlagSet, Scope, first_flag_set
from runtime.flagsnapshot import Snapshot
from runtime.identity import Identity

pytestmark = pytest.mark.unit


def everybody(stage: Stage, **partitions: Stage) -> Snapshot:
    first: FlagSet = first_flag_set(Stage.COMPLETE)
    state = EntityState(floor=stage, ceiling=stage)
    states = dict.fromkeys(first.states, state)
    for name, own in partitions.items():
        scope = Scope(entity="compliance_tasks", partition=name)
        states[scope] = replace(state, floor=own, ceiling=own)
    return Snapshot(replace(first, states=states), version=1, store="s")


def user(role: str) -> User:
    return User(Identity(sub="6f9619ff-8b86-4d01-b42d-00cf4fc964ff", app_role=role), b"t")


@pytest.mark.parametrize("stage", list(Stage), ids=str)
@pytest.mark.parametrize("role", ["patient", "clinician"])
def test_a_remembered_plan_is_the_plan(stage: Stage, role: str) -> None:
    plans, snapshot, asker = Plans(), everybody(stage), user(role)
    for _ in range(2):
        for resource in resources():
            expected = (stage.value, whole_plan(resource, asker, snapshot))
            planned = plans.of(Match(resource), asker, snapshot)
            assert (planned.stage, planned.plan) == expected


def test_new_flags_make_new_plans() -> None:
    plans, resource, asker = Plans(), resources()[0], user("patient")
    assert plans.of(Match(resource), asker, everybody(Stage.LEGACY)).plan == Read(side=Side.LEGACY)
    found = plans.of(Match(resource), asker, everybody(Stage.COMPLETE)).plan
    assert found is not None
    assert found.side is Side.SERVICE


def test_of_split_partitions_the_query_decides() -> None:
    resource = next(r for r in resources() if r.entity == "compliance_tasks")
    snapshot = everybody(Stage.LEGACY, identity_check=Stage.LIVE)
    assert Plans().of(Match(resource), user("compliance"), snapshot).plan is None


def test_a_user_who_stays_away_keeps_no_old_flags_alive() -> None:
    plans, resource, gone, here = Plans(), resources()[0], user("patient"), user("clinician")
    old = everybody(Stage.LEGACY)
    plans.of(Match(resource), gone, old)
    freed = weakref.ref(old)
    del old
    plans.of(Match(resource), here, everybody(Stage.COMPLETE))
    assert freed() is None
