"""A table's description is whole, or refused; tables come in an order in which rows can be written."""

import importlib
from pkgutil import iter_modules
from typing import Any

import pytest

import catalog
from catalog import assets, parents_first
from catalog.asset import Asset, Kind, Live, Move, Wave
from catalog.column import CatalogError, Column, Merge, Only, Type
from catalog.service import Service
from catalog.stamps import UPDATED_AT

pytestmark = pytest.mark.unit

ID = Column(source="id", target="id", type=Type.UUID)
NOTE = Column(source="note", target="note", type=Type.TEXT, nullable=True)


def asset(*columns: Column | Merge | Only, **words: Any) -> Asset:
    described: dict[str, Any] = {
        "source": "public.visits",
        "service": Service.INTAKE,
        "target": "visit",
        "key": ("id",),
        "wave": Wave.FIRST,
        "moves": Move.BATCH,
        "live": Live.CDC,
        "note": "Made up.",
        "subject": "",
        "columns": columns or (ID, UPDATED_AT),
    }
    return Asset(**described | words)


def test_names():
    plain = asset()
    assert (plain.entity, plain.flag_entity) == ("visits", "visits")
    assert asset(aggregate="journeys").flag_entity == "journeys"
    assert plain.key_columns == (ID,)
    assert plain.references == ()


def test_left_behind_columns_are_not_kept():
    left = Only(source="junk", lossy="nobody reads it")
    assert asset(ID, UPDATED_AT, left).kept == (ID, UPDATED_AT)


@pytest.mark.parametrize(
    ("columns", "words", "cure"),
    [
        ((ID, ID, UPDATED_AT), {}, "target id is described twice"),
        (
            (ID, Column(source="id", target="other", type=Type.UUID), UPDATED_AT),
            {},
            "source id is described twice",
        ),
        ((ID, UPDATED_AT, Only(source="id", lossy="twice")), {}, "source id is described twice"),
        ((ID, UPDATED_AT), {"key": ("number",)}, "number must be a Column"),
        ((ID, NOTE, UPDATED_AT), {"key": ("note",)}, "note must be a Column"),
        ((ID, NOTE, UPDATED_AT), {"partition": "note"}, "note must be a Column"),
        (
            (Merge(sources=("a",), parts=("a",), target="id"), UPDATED_AT),
            {},
            "id must be a Column",
        ),
        (
            (Column(source="id", target="id", type=Type.TEXT, lossy="cut"), UPDATED_AT),
            {},
            "id must be a Column",
        ),
        ((ID,), {}, "a versioned table describes updated_at"),
        ((ID, UPDATED_AT), {"subject": "submission_id"}, 'say `subject=""`'),
    ],
)
def test_contradictions_are_refused(columns, words, cure):
    with pytest.raises(CatalogError) as refused:
        asset(*columns, **words)
    assert str(refused.value).startswith("public.visits: ")
    assert cure in str(refused.value)


def test_an_append_only_table_needs_no_updated_at():
    assert asset(ID, kind=Kind.APPEND_ONLY).kind is Kind.APPEND_ONLY


def child(name: str, *parents: str) -> Asset:
    pointers = (
        Column(source=f"{parent}_id", target=f"{parent}_id", type=Type.UUID, references=parent)
        for parent in parents
    )
    return asset(ID, UPDATED_AT, *pointers, source=f"public.{name}")


def test_parents_come_before_children():
    described = {
        "a": child("a", "b", "c"),
        "b": child("b", "c"),
        "c": child("c", "c"),
        "d": child("d"),
    }
    assert list(parents_first(described)) == ["c", "b", "a", "d"]


def test_a_circle_of_references_is_refused():
    with pytest.raises(CatalogError, match="a -> b -> a: a circle"):
        parents_first({"a": child("a", "b"), "b": child("b", "a")})


def test_a_reference_to_nothing_is_refused():
    with pytest.raises(CatalogError, match="a -> z: no module describes"):
        parents_first({"a": child("a", "z")})


def test_found_assets_come_parents_first_and_cannot_be_changed():
    order = list(assets())
    for entity, found in assets().items():
        assert all(order.index(c.references) <= order.index(entity) for c in found.references)
    with pytest.raises(TypeError):
        assets()["submissions"] = asset()  # type: ignore[index]


def test_every_asset_module_is_found():
    modules = (importlib.import_module(f"catalog.{m.name}") for m in iter_modules(catalog.__path__))
    assert {m.ASSET.entity for m in modules if hasattr(m, "ASSET")} == set(assets())
