"""Rows go over and come back whole; what has no counterpart is refused by column, never by value."""

import json
import traceback
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import assets
from catalog.asset import Asset, Kind, Live, Move, Wave
from catalog.column import Column, Merge, Only, Type
from catalog.service import Service
from catalog.transform import (
    NoCounterpart,
    UnknownValue,
    forward,
    forward_sql,
    inverse,
    inverse_sql,
    left_behind,
    preimage,
)
from tests.legacy_rows import legacy_rows

pytestmark = pytest.mark.unit

ROWS = 10_000
ASSETS = [pytest.param(asset, id=entity) for entity, asset in assets().items()]
(GUARDIAN,) = (c for c in assets()["submissions"].kept if isinstance(c, Merge))
SECRET = "Žofie Nováková"

AMOUNTS = [
    (asset, column)
    for asset in assets().values()
    for column in asset.kept
    if isinstance(column, Column) and column.convert
]
VOCABULARIES = [
    (asset, column)
    for asset in assets().values()
    for column in asset.kept
    if isinstance(column, Column) and column.values
]


def names(pairs: list[tuple[Asset, Column]]) -> list[Any]:
    return [pytest.param(a, c, id=f"{a.entity}.{c.source}") for a, c in pairs]


def faithful(asset: Asset, row: dict[str, Any]) -> dict[str, Any]:
    """What must come back: all but the columns whose way back is declared lossy."""
    lossy = {source for column in asset.kept if column.lossy for source in column.sources}
    return {name: value for name, value in row.items() if name not in lossy}


def any_row(asset: Asset) -> dict[str, Any]:
    return next(legacy_rows(asset, 1))


@pytest.mark.parametrize("asset", ASSETS)
def test_rows_come_back_whole(asset):
    for row in legacy_rows(asset, ROWS):
        back = inverse(asset, forward(asset, row))
        assert faithful(asset, back) == faithful(asset, row)


@pytest.mark.parametrize("asset", ASSETS)
def test_target_rows_come_back_whole(asset):
    for row in legacy_rows(asset, 200, seed=2):
        target = forward(asset, row)
        assert forward(asset, inverse(asset, target)) == target


@pytest.mark.parametrize("asset", ASSETS)
def test_a_target_row_has_exactly_the_described_columns(asset):
    assert list(forward(asset, any_row(asset))) == [column.target for column in asset.kept]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
amounts = st.decimals(-(10**10), 10**10, allow_nan=False, places=2)


@given(st.tuples(*[st.none() | texts] * 4))
@settings(deadline=None)
def test_merged_parts_come_back_whole(parts):
    asset = assets()["submissions"]
    row = any_row(asset) | dict(zip(GUARDIAN.sources, parts, strict=True))
    back = inverse(asset, forward(asset, row))
    assert tuple(back[source] for source in GUARDIAN.sources) == parts


@given(st.none() | amounts)
@settings(deadline=None)
def test_amounts_come_back_equal_and_are_whole_between(amount):
    asset = assets()["lab_orders"]
    target = forward(asset, any_row(asset) | {"price": amount})
    assert target["price_minor"] == (None if amount is None else amount * 100)
    assert target["price_minor"] is None or type(target["price_minor"]) is int
    assert inverse(asset, target)["price"] == amount


def test_null_is_not_the_empty_text():
    asset = assets()["submissions"]
    row = any_row(asset)
    nothing = forward(asset, row | dict.fromkeys(GUARDIAN.sources))
    blank = forward(asset, row | dict.fromkeys(GUARDIAN.sources, ""))
    assert nothing["guardian"] is None
    assert json.loads(blank["guardian"]) == dict.fromkeys(GUARDIAN.parts, "")


def test_null_parts_stay_in_the_object():
    asset = assets()["submissions"]
    row = any_row(asset) | dict.fromkeys(GUARDIAN.sources) | {"guardian_name": SECRET}
    assert json.loads(forward(asset, row)["guardian"]) == {
        **dict.fromkeys(GUARDIAN.parts),
        "name": SECRET,
    }


@pytest.mark.parametrize(("asset", "column"), names(VOCABULARIES))
def test_a_word_outside_its_vocabulary_is_refused(asset, column):
    with pytest.raises(UnknownValue) as refused:
        forward(asset, any_row(asset) | {column.source: SECRET})
    assert refused.value.column == column.source
    assert_tells_the_column_only(refused.value, column.source)


@pytest.mark.parametrize(("asset", "column"), names(VOCABULARIES))
def test_a_foreign_word_is_refused_on_the_way_back(asset, column):
    with pytest.raises(UnknownValue) as refused:
        inverse(asset, forward(asset, any_row(asset)) | {column.target: SECRET})
    assert_tells_the_column_only(refused.value, column.target)


@pytest.mark.parametrize(
    "amount", ["NaN", "sNaN", "Infinity", "-Infinity", "1.005", "0.001", "1E+40"]
)
@pytest.mark.parametrize(("asset", "column"), names(AMOUNTS))
def test_an_amount_that_is_none_is_refused(asset, column, amount):
    with pytest.raises(NoCounterpart) as refused:
        forward(asset, any_row(asset) | {column.source: Decimal(amount)})
    assert refused.value.column == column.source
    assert_tells_the_column_only(refused.value, column.source, amount)


@pytest.mark.parametrize("text", [f"{SECRET}\x00", f"\ud800{SECRET}", f"{SECRET}\udfff"])
@pytest.mark.parametrize("source", GUARDIAN.sources)
def test_a_part_that_no_database_holds_is_refused(source, text):
    asset = assets()["submissions"]
    with pytest.raises(NoCounterpart) as refused:
        forward(asset, any_row(asset) | {source: text})
    assert_tells_the_column_only(refused.value, source)


@pytest.mark.parametrize(
    "guardian",
    ["null", "[]", '"text"', "5", '{"name": 5}', '{"name": ["a"]}', '{"nickname": "x"}'],
)
def test_an_object_that_would_lose_something_is_refused_on_the_way_back(guardian):
    asset = assets()["submissions"]
    with pytest.raises(NoCounterpart) as refused:
        inverse(asset, forward(asset, any_row(asset)) | {"guardian": guardian})
    assert_tells_the_column_only(refused.value, "guardian")


def test_a_missing_part_is_null_on_the_way_back():
    asset = assets()["submissions"]
    target = forward(asset, any_row(asset)) | {"guardian": '{"name": "x"}'}
    back = inverse(asset, target)
    assert [back[source] for source in GUARDIAN.sources] == ["x", None, None, None]


def assert_tells_the_column_only(error: NoCounterpart, column: str, value: str = SECRET) -> None:
    printed = "".join(traceback.format_exception_only(error)) + repr(error.args)
    assert str(error).startswith(f"{column}: ")
    assert value not in printed
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


LOSSY = Asset(
    source="public.visits",
    service=Service.INTAKE,
    target="visit",
    key=("id",),
    kind=Kind.APPEND_ONLY,
    subject="",
    wave=Wave.FIRST,
    moves=Move.BATCH,
    live=Live.NONE,
    note="Made up.",
    columns=(
        Column(source="id", target="id", type=Type.BIGINT),
        Column(
            source="state",
            target="state",
            type=Type.ENUM,
            values={"new": "open", "waiting": "open", "don't": "shut"},
            lossy="new and waiting are one state now",
        ),
        Merge(sources=("createdBy", "order"), parts=("it's", "b"), target="who"),
        Only(source="legacy_flags", lossy="nobody reads them"),
    ),
)


def test_words_that_become_one_come_back_as_the_first():
    row = {"id": 1, "state": "waiting", "createdBy": None, "order": None, "legacy_flags": 7}
    target = forward(LOSSY, row)
    assert target == {"id": 1, "state": "open", "who": None}
    assert inverse(LOSSY, target) == {"id": 1, "state": "new", "createdBy": None, "order": None}


def test_preimage_is_every_word_that_became_this_one():
    state = LOSSY.by_target["state"]
    assert isinstance(state, Column)
    assert preimage(state, "open") == ("new", "waiting")
    assert preimage(state, "shut") == ("don't",)
    assert preimage(state, "new") == ()


def test_what_is_left_behind_is_listed():
    assert [column.source for column in left_behind(LOSSY)] == ["legacy_flags"]


def test_sql_quotes_names_and_words():
    assert '"createdBy", \'b\', "order"' in forward_sql(LOSSY.by_target["who"])
    assert "when 'don''t' then 'shut'" in forward_sql(LOSSY.by_target["state"])
    back = inverse_sql(LOSSY.by_target["who"])
    assert set(back) == {"createdBy", "order"}
    assert "\"who\" ->> 'it''s'" in back["createdBy"]


def test_sql_takes_the_first_of_several_words_back():
    (expression,) = inverse_sql(LOSSY.by_target["state"]).values()
    assert expression.count("when 'open' then") == 1
    assert "when 'open' then 'new'" in expression
