"""The layout promises of docs/architecture: generic top-level names stay ours, and no room without a name."""

import ast
import importlib.util
import os
import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PACKAGES = tuple(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]["packages"]
)
SESSION_STATE = re.compile(
    r"pg_(try_)?advisory_lock(_shared)?\(|set_config\([^)]*false|\bset (session|role)\b|create temp|\bwith hold\b"
    r"|(execute|fetch\w*)\(\s*f?[\"']set (?!local\b|constraints\b)",
    re.IGNORECASE,
)
SETS_SESSION_STATE = {
    "runtime/postgres.py": "migrations, on a connection of their own",
    "runtime/alertnotifier.py": "lets go of it behind its turn",
    "benchmarks/walks.py": "on a connection of its own",
    "migration/copy.py": "on connections of its own",
    "migration/legacy/revert.sql": "tells an operator to",
}
NAMELESS = {"utils", "util", "common", "core", "helpers", "helper", "base", "lib", "misc"}
LEFT_BEHIND = {"__pycache__", "node_modules", "dist"}
LONGEST_FILE = 500


def own_files(suffix: str = "") -> list[Path]:
    """The repository's files, without what tools and installations leave in it."""
    found = []
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [name for name in inner if not name.startswith(".") and name not in LEFT_BEHIND]
        found += [Path(folder, name) for name in names if name.endswith(suffix)]
    return found


@pytest.mark.parametrize("name", [*PACKAGES, "tests"])
def test_top_level_package_is_ours(name):
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None, f"{name} has no __init__.py: any package of that name would win"
    assert Path(spec.origin) == ROOT / name / "__init__.py"


def test_every_package_of_the_repository_is_in_the_wheel():
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found - {"tests"} == set(PACKAGES)


def test_no_folder_or_module_without_a_name_of_its_own():
    nameless = [
        str(path.relative_to(ROOT))
        for path in own_files()
        if NAMELESS & {part.partition(".")[0] for part in path.relative_to(ROOT).parts}
    ]
    assert nameless == []


def test_nothing_stays_with_a_pool_s_connection():
    """Pools do not reset their connections (runtime.postgres): a role or a setting that stayed would be the next user's."""
    found = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for suffix in ("py", "sql")
        for path in (ROOT / package).rglob(f"*.{suffix}")
        if SESSION_STATE.search(path.read_text())
    }
    assert found == set(SETS_SESSION_STATE)


def test_config_holds_data_only():
    assert [str(path) for path in (ROOT / "config").rglob("*.py")] == []


def test_every_package_says_what_it_is_for():
    silent = [
        str(path.relative_to(ROOT))
        for path in own_files("__init__.py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_every_folder_of_product_code_is_a_package():
    folders = {path.parent for path in product_modules()}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_no_file_outgrows_a_reader():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in product_modules()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert long == {}


def product_modules() -> list[Path]:
    return [path for path in own_files(".py") if path.relative_to(ROOT).parts[0] in PACKAGES]
