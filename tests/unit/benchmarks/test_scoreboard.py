"""The page shows what was measured last, and a part that is measured again replaces its own claims only."""

from pathlib import Path

import pytest

from benchmarks.claim import Claim
from benchmarks.scoreboard import DOCS, page, read, record

pytestmark = pytest.mark.unit


def claim(name: str, value: float, *, ok: bool = True) -> Claim:
    return Claim(
        topic="t", claim=name, value=value, unit="us", target="< 5", ok=ok, n=3, how="somehow"
    )


def test_what_is_measured_again_replaces_itself(tmp_path: Path) -> None:
    record([claim("a", 1), claim("b", 2)], keep=False, folder=tmp_path)
    record([claim("b", 9, ok=False)], keep=True, folder=tmp_path)
    text = (tmp_path / "scoreboard.md").read_text()
    assert "| a | 1 us | < 5 | 3 |" in text
    assert "| b | 9 us | < 5 | 3 |" in text
    assert text.count("**no**") == 1
    assert "- *b*: somehow." in text


def test_a_whole_run_leaves_nothing_old(tmp_path: Path) -> None:
    record([claim("a", 1)], keep=False, folder=tmp_path)
    record([claim("b", 2)], keep=False, folder=tmp_path)
    assert [entry.claim.claim for entry in read(tmp_path / "scoreboard.json")] == ["b"]


def test_the_page_is_made_from_what_was_recorded() -> None:
    assert (DOCS / "scoreboard.md").read_text() == page(read(DOCS / "scoreboard.json"))
