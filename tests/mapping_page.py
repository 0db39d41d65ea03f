"""docs/mapping.md, written from the catalog: `python -m tests.mapping_page` after a change of catalog/ or routes/."""

from pathlib import Path

from catalog import assets
from catalog.page import Exposure, mapping_page
from routes import resources

PAGE = Path(__file__).parents[1] / "docs" / "mapping.md"
COMMAND = "python -m tests.mapping_page"


def render() -> str:
    """The whole page as it should be."""
    exposures = {
        r.entity: Exposure(path=r.collection_path, staff_only=r.staff_only) for r in resources()
    }
    return mapping_page(assets().values(), exposures, renewed_by=COMMAND)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
