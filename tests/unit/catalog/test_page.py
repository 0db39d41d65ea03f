"""What the mapping page says of each kind of column."""

import pytest

from catalog import assets
from catalog.asset import Asset, Kind, Live, Move, Wave
from catalog.column import Column, Compare, Merge, Only, Type
from catalog.conversion import MINOR_UNITS
from catalog.page import Exposure, mapping_page
from catalog.service import Service

pytestmark = pytest.mark.unit

VISITS = Asset(
    source="public.visits",
    service=Service.FINANCE,
    target="visit",
    key=("id",),
    kind=Kind.APPEND_ONLY,
    derived=True,
    partition="state",
    aggregate="journeys",
    subject="",
    wave=Wave.SECOND,
    moves=Move.DRAIN,
    live=Live.EVENTS,
    note="Moved by night.",
    fhir=("Encounter",),
    columns=(
        Column(source="id", target="id", type=Type.BIGINT, filter=True, sort=True),
        Column(
            source="state",
            target="state",
            type=Type.ENUM,
            values={"a|b": "b", "same": "same"},
            low_entropy=True,
        ),
        Column(
            source="fee",
            target="fee_minor",
            type=Type.BIGINT,
            convert=MINOR_UNITS,
            generated=True,
            lossy="rounded",
        ),
        Column(source="tags", target="tags", type=Type.TEXT_ARRAY, compare=Compare.UNORDERED),
        Column(source="seen", target="seen", type=Type.DATE, compare=Compare.IGNORED, public=False),
        Column(source="currency", target="currency", type=Type.TEXT, padded=True, nullable=True),
        Column(source="parent", target="parent_id", type=Type.UUID, references="journeys"),
        Merge(sources=("x", "y"), parts=("left", "right"), target="pair"),
        Only(source="junk", lossy="nobody reads it"),
        Only(source="rest", lossy="a constant", nullable=False),
    ),
)
FIRST = Asset(
    source="public.firsts",
    service=Service.INTAKE,
    target="first",
    key=("id",),
    kind=Kind.APPEND_ONLY,
    subject="",
    wave=Wave.FIRST,
    moves=Move.BATCH,
    live=Live.NONE,
    note="First.",
    columns=(Column(source="id", target="id", type=Type.UUID),),
)
EXPOSED = {"visits": Exposure(path="/v2/visits", staff_only=frozenset({"tags"}))}


@pytest.fixture(scope="module")
def page() -> str:
    return mapping_page([VISITS, FIRST], EXPOSED, renewed_by="make it so")


@pytest.mark.parametrize(
    "row",
    [
        "| `id` | `id` | `bigint` |  | key, filter, sort |  |",
        r"| `state` | `state` | `enum` | `a\|b` → `b`, `same` | verdict only |  |",
        "| `fee` | `fee_minor` | `bigint` | minor units | computed | rounded |",
        "| `tags` | `tags` | `text[]` |  | staff, any order |  |",
        "| `seen` | `seen` | `date` |  | internal, not compared |  |",
        "| `currency` | `currency` | `text` |  | null, padded |  |",
        "| `parent` | `parent_id` | `uuid` |  | → journeys |  |",
        "| `x`, `y` | `pair` | `jsonb` | one object of `left`, `right`; null if all are | null |  |",
        "| `junk` |  |  | left behind | null | nobody reads it |",
        "| `rest` |  |  | left behind |  | a constant |",
    ],
)
def test_column_rows(page, row):
    assert f"{row}\n" in page


@pytest.mark.parametrize(
    "fact",
    [
        "> Moved by night.",
        "- Service: Finance, table `finance.visit`",
        "- Wave: 2 appointments; flag: `journeys.stage`, which may differ by `state`",
        "- Moves by queue drain, stays live by events; rows are written once, by a trigger of legacy's own",
        "- Key: `id`",
        "- FHIR R4: Encounter",
        "- Wave: 1 lab orders, compliance tasks; flag: `firsts.stage`",
        "- Moves by batch, stays live by none; rows are written once",
        "- FHIR R4: none",
        "- /v2: `/v2/visits`",
        "- /v2: not exposed",
    ],
)
def test_facts(page, fact):
    assert f"{fact}\n" in page


def test_the_page_says_what_renews_it_and_goes_by_wave(page):
    assert "`make it so`" in page
    assert page.index("## public.firsts") < page.index("## public.visits")
    assert (
        "| 2 appointments | [`public.visits`](#publicvisits) | Finance | `finance.visit`"
        " | queue drain | events | Encounter | `/v2/visits` |\n" in page
    )


def test_rows_that_change_are_said_to(page):
    text = mapping_page([assets()["submissions"]], {}, renewed_by="x")
    assert "; rows change\n" in text
    assert "rows change\n" not in page
