"""What operators are shown, also of flags that nobody can edit."""

import orjson
import pytest

from catalog.stage import Stage
from gateway.control_view import entity_view, panic_view, whole_view
from runtime.flagchange import Allow, Ramp, apply
from runtime.flagrule import HandWritten
from runtime.flagset import EntityState, Flag, FlagSet, Scope, first_flag_set, flag_entities
from runtime.flagsnapshot import Snapshot

pytestmark = pytest.mark.unit

LAB = Scope(entity="lab_orders")
CONSENT = Scope(entity="compliance_tasks", partition="consent_renewal")
START = first_flag_set(Stage.COMPLETE)


def test_hand_written_targeting_is_shown_as_it_is():
    rule = HandWritten(targeting={"if": [{"in": ["b", {"var": "cohorts"}]}, "live", None]})
    view = entity_view(Snapshot(FlagSet(flags={LAB: Flag(rule=rule)}, states={})), "lab_orders")
    assert (view["hand_written"], view["at_least"], view["overrides"]) == (True, None, [])
    assert (view["default"], view["targeting"], view["highest"]) == (
        "legacy",
        rule.targeting,
        Stage.SHADOW,  # no state is the most careful one: nobody goes above shadow
    )


def test_a_flag_that_is_not_there_is_shown_as_missing():
    view = entity_view(Snapshot(FlagSet(flags={}, states={})), "lab_orders")
    assert (view["defined"], view["hand_written"], view["at_least"]) == (False, False, None)
    assert view["ceiling"] == "shadow"


def test_everything_can_be_written_as_json():
    ramp = Ramp(scope=CONSENT, stage=Stage.LIVE, tenths=125)
    view = whole_view(Snapshot(apply(START, ramp).flag_set, version=2), kill_switch=True)
    again = orjson.loads(orjson.dumps(view))
    assert [entity["entity"] for entity in again["entities"]] == list(flag_entities())
    tasks = next(one for one in again["entities"] if one["entity"] == "compliance_tasks")
    assert tasks["partitions"][0]["at_least"]["live"] == 12.5
    assert again["panic"] == {"on": False, "flag_set": False, "kill_switch": True}


def test_panic_is_told_by_partition_where_one_has_a_floor_of_its_own():
    change = Allow(scope=CONSENT, floor=Stage.LIVE)
    view = panic_view(Snapshot(apply(START, change).flag_set))
    assert [one["entity"] for one in view["stays"]] == [CONSENT.name]
    assert "compliance_tasks" in view["goes"]
    nothing = FlagSet(
        flags={},
        states={
            Scope(entity=name): EntityState(floor=Stage.LIVE, ceiling=Stage.COMPLETE)
            for name in flag_entities()
        },
    )
    assert panic_view(Snapshot(nothing))["goes"] == []
