"""A resource fits the catalog, or is refused when it is written; who sees which column."""

from dataclasses import replace
from typing import Any

import pytest

from catalog import assets
from catalog.column import CatalogError, Merge
from catalog.service import Service
from routes import resources
from routes.resource import Resource

pytestmark = pytest.mark.unit

SUBMISSIONS = next(r for r in resources() if r.entity == "submissions")
PLANS = next(r for r in resources() if r.entity == "action_plans")
SAFEGUARDING = {"safeguarding_concern", "safeguarding_notes", "safeguarding_details"}


def resource(**words: Any) -> Resource:
    described = {"path": "/x", "entity": "lab_orders", "summary": "X", "order": "id"}
    return Resource(**described | words)


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ({"staff_only": frozenset({"priec", "price"})}, "price, priec is no column of lab_orders"),
        ({"home": "clinician"}, "clinician is no column of lab_orders"),
        ({"path": "/x/{id}/y", "parent_column": "parent"}, "parent is no column of lab_orders"),
        (
            {"path": "/x/{id}/y", "parent_column": "guardian", "entity": "submissions"},
            "guardian is merged and holds no key",
        ),
        ({"path": "/x/{id}/y"}, "{id} and `parent_column` go together"),
        ({"parent_column": "submission_id"}, "{id} and `parent_column` go together"),
    ],
)
def test_contradictions_are_refused(words, cure):
    with pytest.raises(CatalogError) as refused:
        resource(**words)
    assert cure in str(refused.value)


def test_a_hidden_key_is_refused(monkeypatch):
    orders = assets()["lab_orders"]
    hidden = replace(orders, columns=tuple(replace(c, public=False) for c in orders.kept))
    monkeypatch.setattr("routes.resource.assets", lambda: {"lab_orders": hidden})
    with pytest.raises(CatalogError, match="the key must be public"):
        resource()


def test_an_unknown_entity_is_refused():
    with pytest.raises(KeyError):
        resource(entity="lab_order")


def test_what_it_stands_for():
    plain = resource()
    assert (plain.service, plain.collection_path, plain.nested) == (
        Service.DIAGNOSTICS,
        "/v2/x",
        False,
    )
    assert resource(path="/x/{id}/y", parent_column="submission_id").nested


def test_internal_columns_are_in_no_answer():
    for staff in (False, True):
        shown = {column.target for column in PLANS.columns(staff=staff)}
        assert shown == set(PLANS.asset.by_target) - {"object_bucket", "object_key"}
        assert PLANS.column("object_key", staff=staff) is None


def test_staff_see_more():
    own = [column.target for column in SUBMISSIONS.columns(staff=False)]
    all_ = [column.target for column in SUBMISSIONS.columns(staff=True)]
    assert set(all_) - set(own) == SAFEGUARDING
    assert own == [name for name in all_ if name not in SAFEGUARDING]
    assert all_ == [c.target for c in SUBMISSIONS.asset.kept]


def test_staff_columns_are_unknown_to_others():
    assert SUBMISSIONS.column("safeguarding_concern", staff=False) is None
    column = SUBMISSIONS.column("safeguarding_concern", staff=True)
    assert column is SUBMISSIONS.asset.by_target["safeguarding_concern"]


def test_a_merged_column_is_shown_but_not_asked_for():
    assert any(isinstance(column, Merge) for column in SUBMISSIONS.columns(staff=False))
    assert SUBMISSIONS.column("guardian", staff=True) is None
    assert SUBMISSIONS.column("nothing", staff=True) is None
