"""Promises that every asset and every resource keeps. What needs a live database is in tests/stack/test_catalog_sql.py."""

import importlib
import re
from pathlib import Path
from pkgutil import iter_modules

import pytest

import catalog
import routes
from catalog import assets
from catalog.asset import Kind, Live, Move, Wave
from catalog.column import UNFILTERED, Column, Type
from catalog.service import Service
from routes import resources
from routes.query import ListQuery, parse_list
from routes.value import canonical
from tests import mapping_page

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
PREPARE = ROOT / "migration" / "legacy" / "prepare.sql"
RESOURCES = [pytest.param(resource, id=resource.path) for resource in resources()]
CURSOR_KEY = b"k" * 32

REQUIRED = {
    "submissions": (
        "Patient Intake Service",
        {"Patient", "RelatedPerson", "Consent", "QuestionnaireResponse"},
        (Move.BUNDLE, Live.CDC, Wave.THIRD),
    ),
    "appointments": (
        "Scheduling Service",
        {"Appointment"},
        (Move.BATCH, Live.CDC, Wave.SECOND),
    ),
    "appointment_requests": ("Scheduling Service", set(), (Move.BATCH, Live.CDC, Wave.SECOND)),
    "lab_orders": (
        "Diagnostics Service",
        {"ServiceRequest", "DiagnosticReport"},
        (Move.BUNDLE, Live.CDC, Wave.FIRST),
    ),
    "lab_order_events": (
        "Diagnostics Service",
        {"Provenance", "AuditEvent"},
        (Move.BATCH, Live.CDC, Wave.FIRST),
    ),
    "action_plans": (
        "Care Plan Service",
        {"CarePlan", "DocumentReference"},
        (Move.FILES, Live.CDC, Wave.FOURTH),
    ),
    "compliance_tasks": ("Compliance Service", {"Task"}, (Move.BATCH, Live.CDC, Wave.FIRST)),
    "partner_checkins": (
        "Partner Operations Service",
        set(),
        (Move.BATCH, Live.CDC, Wave.FOURTH),
    ),
    "partner_label_queue": (
        "Partner Operations Service",
        set(),
        (Move.DRAIN, Live.CDC, Wave.FIFTH),
    ),
    "partner_stock_levels": (
        "Partner Operations Service",
        set(),
        (Move.VIEW, Live.EVENTS, Wave.FOURTH),
    ),
    "partner_payouts": ("Finance", set(), (Move.BATCH, Live.CDC, Wave.SIXTH)),
    "partner_temperature_logs": (
        "Compliance Service",
        {"Observation"},
        (Move.CSV, Live.TELEMETRY, Wave.FOURTH),
    ),
}
"""The requirements' table: target system, FHIR mapping, and how it moves; the waves are decisions.md 17."""


def test_the_requirements_tables_and_no_others():
    described = {
        entity: (asset.service.label, set(asset.fhir), (asset.moves, asset.live, asset.wave))
        for entity, asset in assets().items()
    }
    assert described == REQUIRED


def test_seven_services_and_each_owns_something():
    assert len(Service) == 7
    assert {asset.service for asset in assets().values()} == set(Service)


def test_a_module_is_named_after_its_table():
    found = iter_modules(catalog.__path__)
    modules = {m.name: importlib.import_module(f"catalog.{m.name}") for m in found}
    described = {name: m.ASSET for name, m in modules.items() if hasattr(m, "ASSET")}
    assert {name: asset.source for name, asset in described.items()} == {
        name: f"public.{name}" for name in REQUIRED
    }


def test_target_tables_do_not_collide():
    targets = [(asset.service, asset.target) for asset in assets().values()]
    assert len(set(targets)) == len(targets)


def test_names_need_no_quotes():
    plain = re.compile(r"[a-z][a-z0-9_]*")
    names = [
        name
        for asset in assets().values()
        for name in (asset.target, *(column.target for column in asset.kept))
    ]
    assert [name for name in names if not plain.fullmatch(name)] == []


def test_an_aggregate_is_an_entity_that_decides_for_itself():
    followers = {asset.entity: asset.aggregate for asset in assets().values() if asset.aggregate}
    assert followers == {
        "lab_order_events": "lab_orders",
        "appointment_requests": "appointments",
    }
    assert all(not assets()[leader].aggregate for leader in followers.values())
    assert all(assets()[a].wave is assets()[b].wave for a, b in followers.items())


def test_only_compliance_tasks_are_partitioned():
    partitions = {entity: asset.partition for entity, asset in assets().items() if asset.partition}
    assert partitions == {"compliance_tasks": "task_type"}
    column = assets()["compliance_tasks"].by_target["task_type"]
    assert isinstance(column, Column)
    assert column.values


def test_kinds_are_those_that_prepare_installs():
    text = PREPARE.read_text(encoding="utf-8")
    installed = re.findall(
        r"^begin;.*select banyan\.prepare_table\('(\w+)', '(\w+)'(, true)?\)", text, re.MULTILINE
    )
    described = [
        (asset.entity, asset.kind.value, ", true" if asset.derived else "")
        for asset in assets().values()
    ]
    assert sorted(installed) == sorted(described)


def test_versions_carry_their_stamp():
    for asset in assets().values():
        assert "created_at" in asset.by_target
        assert ("updated_at" in asset.by_target) is (asset.kind is Kind.VERSIONED)


def test_columns_with_few_values_leave_no_hash():
    low = {Type.ENUM, Type.BOOLEAN}
    telling = [
        f"{asset.entity}.{column.target}"
        for asset in assets().values()
        for column in asset.kept
        if (column.type in low or column.target == "birth_date") and not column.low_entropy
    ]
    assert telling == []


def test_whoever_sees_the_submission_is_named_where_there_is_one():
    subjects = {entity: asset.subject for entity, asset in assets().items()}
    expected = {
        entity: "id"
        if entity == "submissions"
        else "submission_id"
        if "submission_id" in asset.by_target
        else ""
        for entity, asset in assets().items()
    }
    assert subjects == expected


def test_every_entity_is_exposed_once():
    assert sorted(resource.entity for resource in resources()) == sorted(assets())


def test_every_resource_module_is_found_and_sorted_by_path():
    modules = [importlib.import_module(f"routes.{m.name}") for m in iter_modules(routes.__path__)]
    declared = [r for m in modules for r in getattr(m, "RESOURCES", ())]
    assert list(resources()) == sorted(declared, key=lambda resource: resource.path)


def test_the_paths_of_the_interface():
    assert [resource.collection_path for resource in resources()] == [
        "/v2/action-plans",
        "/v2/appointment-requests",
        "/v2/appointments",
        "/v2/compliance",
        "/v2/lab-orders",
        "/v2/lab-orders/{id}/events",
        "/v2/partner/checkins",
        "/v2/partner/labels",
        "/v2/partner/payouts",
        "/v2/partner/stock",
        "/v2/partner/temperature-logs",
        "/v2/submissions",
    ]


def test_every_services_resources_cover_its_tables():
    for service in Service:
        exposed = {resource.entity for resource in resources() if resource.service is service}
        owned = {entity for entity, asset in assets().items() if asset.service is service}
        assert exposed == owned


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("staff", [False, True])
def test_the_default_order_is_a_legal_one(resource, staff):
    parent = "00000000-0000-0000-0000-000000000001" if resource.nested else None
    query = parse_list(resource, b"", staff=staff, parent=parent, cursor_key=CURSOR_KEY)
    assert isinstance(query, ListQuery)
    words = [sort.word for sort in query.order]
    assert words[: resource.order.count(",") + 1] == resource.order.split(",")
    assert {sort.column.target for sort in query.order} >= set(resource.asset.key)


@pytest.mark.parametrize("resource", RESOURCES)
def test_no_column_hides_behind_a_parameter(resource):
    reserved = {"order", "limit", "cursor", "select"}
    assert not reserved & {column.target for column in resource.columns(staff=True)}


def test_a_nested_collections_parent_is_its_neighbours_key():
    nested = [resource for resource in resources() if resource.nested]
    assert [resource.entity for resource in nested] == ["lab_order_events"]
    for resource in nested:
        (owner,) = [r for r in resources() if r.path == resource.path.partition("/{id}")[0]]
        column = resource.asset.by_target[resource.parent_column]
        assert isinstance(column, Column)
        assert column.references == owner.entity
        assert [column.type] == [key.type for key in owner.asset.key_columns]
        assert resource.asset.flag_entity == owner.asset.flag_entity


def test_every_type_that_may_be_filtered_by_can_be_read():
    texts = {
        Type.UUID: "00000000-0000-0000-0000-000000000001",
        Type.TEXT: "x",
        Type.BOOLEAN: "true",
        Type.SMALLINT: "1",
        Type.INTEGER: "1",
        Type.BIGINT: "1",
        Type.NUMERIC: "1",
        Type.DATE: "2025-03-30",
        Type.TIMESTAMPTZ: "2025-03-30T01:00:00+00:00",
    }
    assert set(texts) == set(Type) - UNFILTERED - {Type.ENUM}
    for type_, text in texts.items():
        assert canonical(Column(source="a", target="a", type=type_, filter=True), text) == text


def test_the_mapping_page_is_up_to_date():
    written = mapping_page.PAGE.read_text(encoding="utf-8")
    assert written == mapping_page.render(), f"run: {mapping_page.COMMAND}"


def test_the_mapping_page_shows_every_column():
    page = mapping_page.render()
    for asset in assets().values():
        section = page.partition(f"## {asset.source}\n")[2].partition("\n## ")[0]
        for column in asset.kept:
            assert f"`{column.target}`" in section
            assert all(f"`{source}`" in section for source in column.sources)
