"""Where a laboratory's word leads: forward by legal ways, or nowhere."""

from itertools import pairwise

import pytest

from routes import resources
from services.diagnostics.vendor import STATES, way_forward

pytestmark = pytest.mark.unit

(ORDERS,) = (resource for resource in resources() if resource.path == "/lab-orders")
WAYS = ORDERS.lifecycles[0].ways


@pytest.mark.parametrize(
    ("before", "after", "way"),
    [
        ("sent", "sent", ()),
        ("sent", "collected", ("collected",)),
        ("ordered", "resulted", ("sent", "collected", "in_progress", "resulted")),
        ("draft", "sent", ("ordered", "sent")),
        ("draft", "failed", ("ordered", "failed")),
        ("draft", "cancelled", ("cancelled",)),
        ("in_progress", "failed", ("failed",)),
        ("in_progress", "cancelled", None),
        ("in_progress", "collected", None),
        ("resulted", "in_progress", None),
        ("resulted", "failed", None),
        ("failed", "resulted", None),
        ("failed", "cancelled", None),
        ("cancelled", "sent", None),
    ],
)
def test_the_way(before: str, after: str, way: tuple[str, ...] | None):
    assert way_forward(WAYS, before, after) == way


def test_every_way_is_made_of_legal_ones():
    for before in WAYS:
        for after in set(STATES.values()):
            way = way_forward(WAYS, before, after)
            if way is not None:
                assert all(b in WAYS[a] for a, b in pairwise((before, *way)))
                assert (before, *way)[-1] == after


def test_of_two_ways_of_one_length_none_is_taken():
    ways = {"draft": ("ordered", "sent"), "ordered": ("failed",), "sent": ("failed",), "failed": ()}
    assert way_forward(ways, "draft", "failed") is None


def test_every_word_means_a_state():
    assert set(STATES.values()) <= set(WAYS)
