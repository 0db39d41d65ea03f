"""docs/playbook.md has a section for each class of alert, and each runbook link leads to its own."""

import re
from pathlib import Path

import pytest

from runtime.alertclass import CLASSES, PLAYBOOK

pytestmark = pytest.mark.contract

PAGE = (Path(__file__).parents[2] / PLAYBOOK).read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_classes_and_sections_are_the_same():
    assert list(SECTIONS) == list(CLASSES)
    assert len(re.findall(r"^## ", PAGE, re.MULTILINE)) == len(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_a_runbook_link_leads_to_its_section(name):
    """A heading's anchor is its text in lower case, where that has neither blanks nor signs."""
    page, _, anchor = CLASSES[name].runbook.partition("#")
    assert (page, anchor) == (PLAYBOOK, name)
    assert re.fullmatch(r"[a-z_]+", anchor)


@pytest.mark.parametrize("name", CLASSES)
def test_a_section_says_what_to_do(name):
    assert "\n1. " in SECTIONS[name]
    said = set(re.findall(r"`([a-z_]+)`", SECTIONS[name])) - CLASSES.keys()
    assert said - {"source_ip", "banyan_security_alerts_total"} <= CLASSES[name].details, (
        "a detail that the class does not know"
    )


@pytest.mark.parametrize("name", CLASSES)
def test_words_fit_the_table(name):
    assert CLASSES[name].summary
    assert all(re.fullmatch(r"[a-z_]{1,63}", word) for word in {name, *CLASSES[name].details})
