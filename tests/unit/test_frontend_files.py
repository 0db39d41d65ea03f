"""The example frontend's files hold together: what is imported is there, what is vendored is what it says it is."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from catalog import assets
from catalog.column import Column
from catalog.stage import MEANINGS
from routes import resources

pytestmark = pytest.mark.unit

FRONTEND = Path(__file__).parents[2] / "examples" / "frontend"
VENDOR = FRONTEND / "vendor"
PAGE = (FRONTEND / "index.html").read_text(encoding="utf-8")
STYLE = (FRONTEND / "style.css").read_text(encoding="utf-8")
OWN = sorted(path for path in FRONTEND.rglob("*.js") if VENDOR not in path.parents)
VENDORED = sorted(VENDOR.rglob("*.js"))
FILTERS = {
    "lab-orders": "lab_orders",
    "compliance": "compliance_tasks",
    "appointments": "appointments",
}
OURS = frozenset({"order", "due", "when"})
"""Fields of the filter forms that the page turns into v2's words itself; `order` is one already."""
READABLE = 4.5
"""Contrast of text that WCAG 2 asks for at level AA."""

_IMPORT = re.compile(r"""^\s*(?:import|export)\b[^;]*?\bfrom\s+["']([^"']+)["']""", re.MULTILINE)


def import_map() -> dict[str, str]:
    [text] = re.findall(r'<script type="importmap">(.*?)</script>', PAGE, re.DOTALL)
    found: dict[str, str] = json.loads(text)["imports"]
    return found


@pytest.mark.parametrize(
    "path", [*OWN, *VENDORED], ids=lambda path: str(path.relative_to(FRONTEND))
)
def test_every_import_leads_to_a_file(path: Path):
    for name in _IMPORT.findall(path.read_text(encoding="utf-8")):
        target = path.parent / name if name.startswith(".") else FRONTEND / import_map()[name]
        assert target.is_file(), f"{path.name} imports {name}"


def test_everything_in_the_import_map_is_needed():
    texts = [path.read_text(encoding="utf-8") for path in (*OWN, *VENDORED)]
    used = {name for text in texts for name in _IMPORT.findall(text) if not name.startswith(".")}
    assert used == set(import_map())


def test_what_is_vendored_has_the_checksums_that_are_written_down():
    readme = (VENDOR / "README.md").read_text(encoding="utf-8")
    written = {
        name: digest
        for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", readme, re.MULTILINE)
    }
    files = [path for path in VENDOR.rglob("*") if path.is_file() and path.name != "README.md"]
    assert written == {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert all((path.parent / "LICENSE").is_file() for path in VENDORED)


def test_nothing_is_inline_and_nothing_comes_from_elsewhere():
    assert re.findall(r"""\s(?:style|on\w+)=["']""", PAGE) == []
    assert re.findall(r"<style", PAGE) == []
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//""", PAGE) == []
    assert re.findall(r"url\(|@import", STYLE) == []


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_text_never_becomes_markup(path: Path):
    text = path.read_text(encoding="utf-8")
    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text) == []
    )


@pytest.mark.parametrize(("panel", "entity"), FILTERS.items(), ids=FILTERS)
def test_the_filters_speak_the_words_of_v2(panel: str, entity: str):
    [section] = re.findall(
        rf'<section class="card panel" id="{panel}".*?<form class="filters".*?</form>',
        PAGE,
        re.DOTALL,
    )
    resource = next(one for one in resources() if one.entity == entity)
    for name, body in re.findall(r'<select name="(\w+)">(.*?)</select>', section, re.DOTALL):
        values = [value for value in re.findall(r'<option value="([^"]*)"', body) if value]
        if name == "order":
            columns = [resource.column(value.removeprefix("-"), staff=False) for value in values]
            assert all(column is not None and column.sort for column in columns)
        elif name not in OURS:
            found = resource.column(name, staff=False)
            assert found is not None
            assert found.filter
            assert set(values) == set(found.values.values())
    for name in re.findall(r'<input type="\w+" name="(\w+)"', section):
        found = resource.column(name, staff=False)
        assert found is not None
        assert found.filter


def test_it_knows_every_stage_and_who_reads_in_it():
    text = (FRONTEND / "stage.js").read_text(encoding="utf-8")
    lists = dict(re.findall(r"^const (LEGACY|SERVICE) = \[(.*)\];$", text, re.MULTILINE))
    for side, written in lists.items():
        stages = [stage.value for stage, meaning in MEANINGS.items() if meaning.reads.name == side]
        assert json.loads(f"[{written}]") == stages
    assert set(lists) == {"LEGACY", "SERVICE"}


def options(form: str, name: str) -> list[str]:
    """What a select of a form offers."""
    [body] = re.findall(rf'<form id="{form}".*?</form>', PAGE, re.DOTALL)
    [select] = re.findall(rf'<select name="{name}">(.*?)</select>', body, re.DOTALL)
    found: list[str] = re.findall(r'<option value="([^"]*)"', select)
    return found


def states_in(file: str, name: str) -> list[str]:
    text = (FRONTEND / "panels" / file).read_text(encoding="utf-8")
    [written] = re.findall(rf"^const {name} = (\[.*?\]);$", text, re.MULTILINE)
    found: list[str] = json.loads(written)
    return found


def column(entity: str, target: str) -> Column:
    found = assets()[entity].by_target[target]
    assert isinstance(found, Column)
    return found


def test_the_forms_offer_what_the_services_take():
    assert options("booking-form", "modality") == list(
        column("appointments", "modality").values.values()
    )
    priority = column("lab_orders", "priority")
    assert priority.least is not None
    assert priority.most is not None
    numbers = range(int(priority.least), int(priority.most) + 1)
    assert options("order-form", "priority") == [str(number) for number in numbers]
    states = list(column("compliance_tasks", "status").values.values())
    assert states_in("task-work.js", "STATES") == states


def test_an_order_is_followed_up_to_states_that_need_a_person():
    [lifecycle] = next(one for one in resources() if one.entity == "lab_orders").lifecycles
    last = {state for state, ways in lifecycle.ways.items() if not ways}
    # From `failed` a person may order again; no laboratory goes on by itself.
    assert set(states_in("followed-order.js", "LAST")) == {*last, "failed"}


def test_it_knows_every_type_of_compliance_task():
    text = (FRONTEND / "panels" / "compliance.js").read_text(encoding="utf-8")
    [written] = re.findall(r"^const TYPES = \[(.*?)\];$", text, re.MULTILINE | re.DOTALL)
    types = column("compliance_tasks", "task_type").values.values()
    assert re.findall(r'"(\w+)"', written) == list(types)


def themes() -> dict[str, dict[str, str]]:
    """The colours of the light and of the dark page."""
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    )
    return {"light": light, "dark": {**light, **dark}}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *((text, ground) for text in ("ink", "soft") for ground in ("ground", "card", "hover")),
        *((text, "quiet-back") for text in ("ink", "soft")),
        *((text, "bad-back") for text in ("ink", "soft", "bad")),
        *((tone, f"{tone}-back") for tone in ("good", "going", "old")),
        ("on-accent", "accent"),
        ("bad", "card"),
        *(("accent", ground) for ground in ("card", "hover")),
    ],
    ids=lambda name: name,
)
def test_text_can_be_read_on_its_ground(theme: str, text: str, ground: str):
    colours = themes()[theme]
    assert contrast(colours[text], colours[ground]) >= READABLE


def contrast(one: str, other: str) -> float:
    """By WCAG 2: from 1 (the same) to 21 (black on white)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
