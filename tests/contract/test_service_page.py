"""docs/services.md lists what the code has."""

from pathlib import Path

import pytest

from catalog import assets
from catalog.service import Service
from routes import resources
from services.migrate import folders

pytestmark = pytest.mark.contract

PAGE = (Path(__file__).parents[2] / "docs" / "services.md").read_text(encoding="utf-8")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("service", Service)
def test_services_tables_and_routes_are_listed(service: Service) -> None:
    tables = [asset.target for asset in assets().values() if asset.service is service]
    paths = [resource.path for resource in resources() if resource.service is service]
    (line,) = (line for line in PAGE.splitlines() if f"| `{service}` |" in line)
    label, _, listed_tables, listed_paths = (cell.strip() for cell in line.strip("|").split("|"))
    assert label == service.label
    assert sorted(listed_tables.split(", ")) == sorted(f"`{name}`" for name in tables)
    assert sorted(listed_paths.split(", ")) == sorted(f"`{path}`" for path in paths)


def test_blocks_are_listed() -> None:
    blocks = {
        str(folder.relative_to(ROOT))
        for service in Service
        for folder in folders(service)
        if folder.name != "migrations"
    }
    assert blocks == {
        line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `services/blocks/")
    }
