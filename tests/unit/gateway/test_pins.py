"""A pin holds from the announcement until the other side has the write, whatever order its tidings come in."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import assets
from catalog.stage import Side
from gateway.pins import Pins
from runtime.intent import Closed, Intent, Outcome, Settled

pytestmark = pytest.mark.unit

ORDERS, EVENTS = assets()["lab_orders"], assets()["lab_order_events"]
INTENT = Intent(
    id="1",
    entity="lab_orders",
    key=("k",),
    authority=Side.LEGACY,
    scope="",
    user="u",
    epoch=1,
    correlation_id="c",
    grace_seconds=1,
)
LATER = replace(INTENT, id="2", authority=Side.SERVICE, key=("m",))


def pins(*said: Intent | Closed | Settled) -> Pins:
    found = Pins()
    for one in said:
        found.hear(one)
    return found


def test_nothing_is_held_to_begin_with():
    assert pins().sides("u", "lab_orders") == frozenset()
    assert pins().side("u", "lab_orders", "") is None
    assert pins().of_row("u", ORDERS, ("k",)) is None
    assert not pins().open


def test_an_intent_holds_the_whole_aggregate_for_its_user():
    held = pins(INTENT)
    assert held.sides("u", EVENTS.flag_entity) == {Side.LEGACY}
    assert held.side("u", "lab_orders", "") is Side.LEGACY
    assert held.of_row("u", ORDERS, ("k",)) is Side.LEGACY
    assert held.of_row("u", EVENTS, ("k",)) is None
    assert held.sides("other", "lab_orders") == frozenset()
    assert held.sides("u", "appointments") == frozenset()


def test_the_latest_of_a_scope_decides():
    held = pins(INTENT, LATER)
    assert held.sides("u", "lab_orders") == {Side.LEGACY, Side.SERVICE}
    assert held.side("u", "lab_orders", "") is Side.SERVICE
    assert pins(INTENT, replace(LATER, scope="home")).side("u", "lab_orders", "") is Side.LEGACY


def test_the_latest_is_the_last_that_was_announced_not_the_last_that_was_heard():
    again = replace(LATER, key=INTENT.key)
    assert pins(LATER, INTENT).side("u", "lab_orders", "") is Side.SERVICE
    assert pins(again, INTENT).of_row("u", ORDERS, ("k",)) is Side.SERVICE


@pytest.mark.parametrize("end", [Settled(id="1"), Closed(id="1", outcome=Outcome.NOT_APPLIED)])
def test_it_ends_when_the_other_side_has_it_or_there_is_nothing_to_have(end):
    assert not pins(INTENT, end).open
    assert len(pins(INTENT, LATER, end)) == 1


@pytest.mark.parametrize("outcome", [Outcome.APPLIED, Outcome.UNKNOWN])
def test_it_stands_while_only_its_authority_has_it(outcome):
    assert len(pins(INTENT, Closed(id="1", outcome=outcome))) == 1


def test_what_the_catalog_does_not_know_pins_nothing():
    assert not pins(replace(INTENT, entity="gone")).open


tidings = st.lists(
    st.sampled_from(
        [
            INTENT,
            LATER,
            Closed(id="1", outcome=Outcome.APPLIED),
            Closed(id="2", outcome=Outcome.NOT_APPLIED),
            Settled(id="1"),
            Settled(id="2"),
        ]
    ),
    max_size=12,
)


@given(tidings)
def test_any_order_and_any_repetition_end_alike(said):
    """A process hears its own tidings at once and the stream's later, so a beginning may come behind its end."""
    held = pins(*said)
    over = {one.id for one in said if isinstance(one, Settled)}
    over |= {o.id for o in said if isinstance(o, Closed) and o.outcome is Outcome.NOT_APPLIED}
    begun = {one.id for one in said if isinstance(one, Intent)}
    assert {id_ for held_ in held.open.values() for id_ in held_} == begun - over
    assert len(held) == len(begun - over)
