"""docs/corpus.md, written from the cases: `python -m benchmarks.corpus.page` after a change of them."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.corpus.answers import ANSWERS
from benchmarks.corpus.case import Case, UpstreamCase
from benchmarks.corpus.requests import REQUESTS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "corpus.md"
RULES = DOCS / "http-rules.md"

ELSEWHERE: Mapping[str, str] = {
    "client leaves during upload": "the aborts of `benchmarks/faults.py`",
    "client leaves after the upstream write began": "the gateway writes nothing yet",
    "pool exhausted": "the full pool of `benchmarks/faults.py`",
    "breaker open": "the retries of `benchmarks/faults.py`",
}
"""Rows of the rules without a case, and where they are shown instead."""

_INTRODUCTION = f"""\
# The security corpus

Written from `benchmarks/corpus/` by `python -m benchmarks.corpus.page`; a test holds the two together, and each row of
[http-rules.md](http-rules.md), sections 1 and 2, to cases of its own.

{len(REQUESTS)} request cases (`play.py`): raw bytes to a real gateway process whose services are one recording upstream. Checked are
the answers, that the connection ends or is in step, what the upstream saw (by a strict reader of our own and by h11),
and that the next request on another connection is answered rightly. {len(ANSWERS)} upstream cases (`provoke.py`): a script
instead of an answer; checked are status and problem code, the body to the byte, how often the upstream was asked, and
that the next requests of another user, on new connections and on the same, get what is theirs.

`python -m benchmarks run gateway` plays all of them, mixes honest requests with a hostile upstream, fuzzes, and puts nginx
and HAProxy in front and behind (`benchmarks/security.py`, `fuzz.py`, `faults.py`, `differential.py`).

"""


def render() -> str:
    """The whole page as it should be."""
    return (
        _INTRODUCTION
        + _section("Requests", REQUESTS.values(), rows(1))
        + _section("Answers", ANSWERS.values(), rows(2))
        + _elsewhere()
    )


def rows(section: int) -> list[str]:
    """The first cells of the table of a section of the rules."""
    text = RULES.read_text(encoding="utf-8")
    part = re.split(r"^## ", text, flags=re.MULTILINE)[section + 1]
    cells = re.findall(r"^\| (.+?) \| ", part, flags=re.MULTILINE)
    return cells[1:]


def unproven(section: int, cases: Iterable[Case | UpstreamCase]) -> list[str]:
    """Rows that neither a case nor ELSEWHERE names."""
    named = {case.vector for case in cases}
    return [row for row in rows(section) if row not in named and row not in ELSEWHERE]


def unknown(cases: Iterable[Case | UpstreamCase]) -> list[str]:
    """Cases whose vector is no row of the rules (in bold: a rule of section 3)."""
    known = {*rows(1), *rows(2)}
    text = RULES.read_text(encoding="utf-8")
    return [
        case.name for case in cases if case.vector not in known and f"- {case.vector}" not in text
    ]


def _section(title: str, cases: Iterable[Case | UpstreamCase], order: list[str]) -> str:
    by_vector: dict[str, list[str]] = {row: [] for row in order}
    for case in cases:
        by_vector.setdefault(case.vector, []).append(case.name)
    lines = [
        f"| {vector} | {len(names)} | {', '.join(names)} |\n"
        for vector, names in by_vector.items()
        if names
    ]
    return f"## {title}\n\n| Vector | Cases | Names |\n|---|---|---|\n{''.join(lines)}\n"


def _elsewhere() -> str:
    lines = [f"| {row} | {where} |\n" for row, where in ELSEWHERE.items()]
    return f"## Shown elsewhere\n\n| Row | Where |\n|---|---|\n{''.join(lines)}"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
