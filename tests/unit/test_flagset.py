"""The flag set document: what may be stored, what an older release makes of a newer one's, and the file of the release."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from catalog import assets
from catalog.stage import Stage
from runtime.flagrule import By, Canonical, HandWritten, Override, Shares
from runtime.flagset import (
    EntityState,
    Flag,
    FlagSetInvalid,
    Scope,
    UnknownScope,
    checked,
    first_flag_set,
    flag_entities,
    followers,
    partitions,
    read_flag_set,
    scope_of,
    write_flag_set,
)

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
LAB = Scope(entity="lab_orders")
CONSENT = Scope(entity="compliance_tasks", partition="consent_renewal")


@pytest.fixture
def document():
    return write_flag_set(first_flag_set(Stage.SHADOW))


def problems(document: Any, *, strict: bool = True) -> str:
    with pytest.raises(FlagSetInvalid) as refused:
        read_flag_set(document, strict=strict)
    return "\n".join(refused.value.problems)


def test_every_entity_has_a_flag_or_follows_one():
    followed = {name for entity in flag_entities() for name in followers(entity)}
    assert set(flag_entities()) | followed == set(assets())
    assert followers("lab_orders") == ("lab_order_events",)
    assert followers("appointments") == ("appointment_requests",)


def test_the_releases_own_file_may_be_stored_and_names_every_entity():
    found = read_flag_set(json.loads((ROOT / "config/flags.json").read_text()), strict=True)
    whole = {Scope(entity=entity) for entity in flag_entities()}
    assert set(found.flags) >= whole
    assert set(found.states) >= whole
    assert all(isinstance(flag.rule, Canonical) for flag in found.flags.values())
    assert not found.panic


def test_a_document_survives_reading_and_writing(document):
    flag_set = read_flag_set(document, strict=True)
    assert write_flag_set(flag_set) == document
    split = Flag(
        rule=Canonical(
            overrides=(Override(by=By.COHORT, value="beta", stage=Stage.LIVE),),
            shares=Shares(at_least=(1000, 500, 125, 0, 0, 0)),
        ),
        metadata={"owner": "compliance"},
    )
    changed = checked(
        type(flag_set)(
            flags={**flag_set.flags, CONSENT: split},
            states={**flag_set.states, CONSENT: EntityState(ceiling=Stage.LIVE, epoch=3)},
            panic=True,
        )
    )
    assert read_flag_set(write_flag_set(changed), strict=True) == changed
    assert changed.flags[CONSENT] == split


def test_an_aggregate_resolves_to_the_entity_whose_flag_decides():
    assert scope_of("lab_order_events") == LAB
    assert scope_of("compliance_tasks", "consent_renewal") == CONSENT
    assert "consent_renewal" in partitions("compliance_tasks")
    with pytest.raises(UnknownScope, match="known are"):
        scope_of("lab-orders")
    with pytest.raises(UnknownScope, match="it has none"):
        scope_of("lab_orders", "urgent")
    with pytest.raises(UnknownScope, match="has no partition nonsense; it has consent_renewal"):
        scope_of("compliance_tasks", "nonsense")


def test_a_partition_without_flag_or_state_takes_its_entitys():
    flag_set = first_flag_set(Stage.LIVE)
    assert flag_set.flag(CONSENT) == flag_set.flags[CONSENT.whole]
    assert flag_set.state(CONSENT).ceiling is Stage.LIVE
    empty = type(flag_set)(flags={}, states={})
    assert empty.flag(LAB) is None
    assert empty.state(LAB) == EntityState(floor=Stage.LEGACY, ceiling=Stage.SHADOW)


def flag(document: Any) -> Any:
    return document["flags"]["lab_orders.stage"]


def state(document: Any) -> Any:
    return document["entities"]["lab_orders"]


FLAG = write_flag_set(first_flag_set(Stage.SHADOW))["flags"]["lab_orders.stage"]
STATE = write_flag_set(first_flag_set(Stage.SHADOW))["entities"]["lab_orders"]
# Passes every check of form, and flagd's evaluator raises on it: there is no character at infinity.
TO_INFINITY = {"if": [{"substr": [{"var": "role"}, "1e999"]}, "live", None]}
SPOILED = {
    "unknown_member": ((), {"extra": 1}, "the document has unknown members extra"),
    "evaluators": ((), {"$evaluators": {}}, "unknown members $evaluators"),
    "panic_text": ((), {"panic": "yes"}, "panic must be true or false"),
    "entities_list": ((), {"entities": []}, "entities must be an object"),
    "unknown_entity": (("flags",), {"labs.stage": FLAG}, "labs.stage: no such entity"),
    "no_suffix": (("flags",), {"lab_orders": FLAG}, "lab_orders: no such entity"),
    "follower": (("flags",), {"lab_order_events.stage": FLAG}, "no such entity"),
    "no_partitions": (("flags",), {"lab_orders:x.stage": FLAG}, "no such entity"),
    "unknown_partition": (("flags",), {"compliance_tasks:x.stage": FLAG}, "no such entity"),
    "empty_partition": (("flags",), {"lab_orders:.stage": FLAG}, "no such entity"),
    "flag_list": (("flags",), {"lab_orders.stage": []}, "lab_orders.stage: must be an object"),
    "disabled": (("flags", "lab_orders.stage"), {"state": "DISABLED"}, 'must be "ENABLED"'),
    "no_state": (("flags", "lab_orders.stage"), {"state": None}, 'must be "ENABLED"'),
    "variants": (("flags", "lab_orders.stage"), {"variants": {"on": True}}, "must be the stages"),
    "default": (("flags", "lab_orders.stage"), {"defaultVariant": "on"}, "must be one of"),
    "no_default": (("flags", "lab_orders.stage"), {"defaultVariant": None}, "must be one of"),
    "flag_member": (("flags", "lab_orders.stage"), {"source": "x"}, "unknown members source"),
    "metadata": (("flags", "lab_orders.stage"), {"metadata": {"a": [1]}}, "metadata must hold"),
    "float_weight": (
        ("flags", "lab_orders.stage"),
        {"targeting": {"fractional": [["live", 0.5]]}},
        "lab_orders.stage: has a share",
    ),
    "breaks": (("flags", "lab_orders.stage"), {"targeting": TO_INFINITY}, "cannot evaluate"),
    "state_entity": (("entities",), {"labs": STATE}, "entities.labs: no such entity"),
    "state_number": (("entities",), {"lab_orders": 1}, "entities.lab_orders: must be an object"),
    "crossed": (("entities", "lab_orders"), {"floor": "live"}, "above its ceiling shadow"),
    "no_stage": (("entities", "lab_orders"), {"ceiling": "high"}, "must each be one of"),
    "epoch_0": (("entities", "lab_orders"), {"epoch": 0}, "epoch must be a whole number"),
    "epoch_true": (("entities", "lab_orders"), {"epoch": True}, "epoch must be a whole number"),
    "epoch_float": (("entities", "lab_orders"), {"epoch": 1.5}, "epoch must be a whole number"),
    "backfilled": (("entities", "lab_orders"), {"backfilled": "no"}, "backfilled must be"),
    "state_member": (("entities", "lab_orders"), {"mode": "closed"}, "unknown members mode"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_what_may_not_be_stored_is_refused_by_name_and_with_the_cure(document, case):
    path, members, says = SPOILED[case]
    spoiled = document
    for name in path:
        spoiled = spoiled[name]
    spoiled.update(members)
    assert says in problems(document)


@pytest.mark.parametrize("document", [None, [], "x", {}, {"flags": []}, {"flags": None}])
def test_what_is_no_flag_set_at_all_is_refused(document):
    assert "`flags`" in problems(document, strict=False)


def test_every_problem_is_told_at_once(document):
    flag(document)["state"] = "OFF"
    state(document)["epoch"] = 0
    assert len(problems(document).splitlines()) == 2


def test_an_older_release_reads_a_newer_ones_document_and_keeps_what_it_does_not_know(document):
    newer = copy.deepcopy(document)
    newer["flags"]["prescriptions.stage"] = {"state": "ENABLED", "new": "member"}
    newer["entities"]["prescriptions"] = {"floor": "pilot"}
    newer["write_modes"] = {}
    state(newer)["mode"] = "closed"
    assert "prescriptions" in problems(newer)

    read = read_flag_set(newer, strict=False)
    assert read.flags == read_flag_set(document, strict=True).flags
    written = write_flag_set(checked(read))
    assert written["flags"]["prescriptions.stage"] == {"state": "ENABLED", "new": "member"}
    assert written["entities"]["prescriptions"] == {"floor": "pilot"}


def test_what_it_does_know_is_checked_in_a_newer_ones_document_as_well(document):
    flag(document)["targeting"] = {"fractional": [["live", 0.5]]}
    assert "lab_orders.stage" in problems(document, strict=False)


def test_flagd_evaluates_what_was_hand_written(document):
    flag(document)["targeting"] = {"if": [{"in": ["beta", {"var": "cohorts"}]}, "live", None]}
    read = read_flag_set(document, strict=True)
    assert isinstance(read.flags[LAB].rule, HandWritten)
    assert read.flags[LAB].stages == {Stage.LIVE, Stage.LEGACY}
