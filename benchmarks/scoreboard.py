"""docs/scoreboard.md: every claim with the figure that was measured last. docs/scoreboard.json is what the page is made from."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.claim import Claim

DOCS = Path(__file__).resolve().parents[1] / "docs"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A claim, and when and on what it was measured."""

    claim: Claim
    date: str
    machine: str


def record(claims: Sequence[Claim], *, keep: bool, folder: Path = DOCS) -> None:
    """Write the page. `keep`: what was not measured this time stays as it was, else it goes."""
    store = folder / "scoreboard.json"
    today = datetime.now(UTC).date().isoformat()
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    known = {_name(entry.claim): entry for entry in read(store)} if keep else {}
    known |= {_name(c): Entry(claim=c, date=today, machine=machine) for c in claims}
    entries = list(known.values())
    lines = ",\n".join(json.dumps(asdict(entry), ensure_ascii=False) for entry in entries)
    store.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    (folder / "scoreboard.md").write_text(page(entries), encoding="utf-8")


def read(store: Path) -> list[Entry]:
    """What was recorded; nothing if there is no such file."""
    if not store.exists():
        return []
    found = json.loads(store.read_text(encoding="utf-8"))
    return [Entry(**{**entry, "claim": Claim(**entry["claim"])}) for entry in found]


def page(entries: Iterable[Entry]) -> str:
    """Markdown: a section per topic, a row per claim."""
    entries = list(entries)
    machines = "; ".join(sorted({entry.machine for entry in entries}))
    parts = [
        "# Scoreboard\n",
        "Written by `make scoreboard`, or claim by claim by `python -m benchmarks run TOPIC --part NAME --record`, at full size"
        f" ({machines}). A claim that does not hold says so.\n",
    ]
    for topic in sorted({entry.claim.topic for entry in entries}):
        own = [entry for entry in entries if entry.claim.topic == topic]
        parts += [
            f"## {topic}\n",
            "| claim | measured | target | n | on | holds |\n|---|---|---|---|---|---|",
            *(_row(entry) for entry in own),
            "\nHow each was measured:\n",
            *(f"- *{entry.claim.claim}*: {entry.claim.how}." for entry in own),
            "",
        ]
    return "\n".join(parts)


def _row(entry: Entry) -> str:
    claim = entry.claim
    holds = "yes" if claim.ok else "**no**"
    return f"| {claim.claim} | {claim.value:g} {claim.unit} | {claim.target} | {claim.n} | {entry.date} | {holds} |"


def _name(claim: Claim) -> tuple[str, str]:
    return claim.topic, claim.claim
