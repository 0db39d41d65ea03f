"""Pages that list things say what the code says."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests import settings_page

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAIN = "Everywhere"

FLOORS = {
    "h11": "0.16.0",  # chunk terminators
    "httptools": "0.8.0",  # header smuggling
    "pyjwt": "2.14",  # a public key taken for an HMAC secret, algorithm allow-list, key URL schemes
    "starlette": "1.3.1",  # quadratic Range, multipart, Host and form limits
    "uvicorn": "0.49",
}
"""An advisory database may be out of reach, so the floors that matter at the edge stand here."""


def test_settings_page_is_up_to_date():
    written = settings_page.PAGE.read_text(encoding="utf-8")
    assert written == settings_page.render(), "run: python -m tests.settings_page"


def test_dependencies_page_lists_exactly_what_pyproject_names():
    declared = {MAIN: PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    expected = {
        section: {canonicalize_name(Requirement(line).name) for line in lines}
        for section, lines in declared.items()
    }
    assert {section: set(rows) for section, rows in dependencies_page().items()} == expected


def test_every_dependency_has_its_reason():
    silent = [
        (section, name)
        for section, rows in dependencies_page().items()
        for name, cells in rows.items()
        if len(cells) != 2 or not all(cells)
    ]
    assert silent == []


@pytest.mark.parametrize("package", FLOORS)
def test_installed_version_is_above_its_floor(package):
    assert Version(version(package)) >= Version(FLOORS[package])


def test_constraints_pin_exactly_and_cover_every_dependency():
    pins = [Requirement(line) for line in constraint_lines()]
    loose = [str(pin) for pin in pins if [part.operator for part in pin.specifier] != ["=="]]
    declared = [
        *PROJECT["dependencies"],
        *(line for lines in PROJECT["optional-dependencies"].values() for line in lines),
    ]
    pinned = {canonicalize_name(pin.name): pin for pin in pins}
    wanted = {canonicalize_name(Requirement(line).name): Requirement(line) for line in declared}
    assert loose == []
    assert sorted(wanted.keys() - pinned.keys()) == []
    for name, requirement in wanted.items():
        (pin,) = pinned[name].specifier
        assert requirement.specifier.contains(pin.version), f"{name}: {pin} against {requirement}"


def test_changelog_keeps_its_shape():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert releases[0] == "[Unreleased]"
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_links_between_pages_lead_somewhere():
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def dependencies_page() -> dict[str, dict[str, list[str]]]:
    """Section (an extra's name, or `Everywhere`) -> package -> [why, instead of]."""
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    sections = {}
    for part in text.split("\n## ")[1:]:
        heading, _, body = part.partition("\n")
        rows = [line.strip("|").split("|") for line in body.splitlines() if line.startswith("| ")]
        sections[heading.removeprefix("Extra ").strip("`")] = {
            str(canonicalize_name(cells[0].strip())): [cell.strip() for cell in cells[1:]]
            for cells in rows
            if cells[0].strip() != "Package"
        }
    return sections


def constraint_lines() -> list[str]:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
