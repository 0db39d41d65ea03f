"""docs/scoreboard.md: every claim with the figure that was measured last."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.size import Size

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scoreboard.md"


def write_scoreboard(claims: Sequence[Claim], size: Size) -> None:
    """Replace the page by these claims."""
    PAGE.write_text(page(claims, size), encoding="utf-8")


def page(claims: Sequence[Claim], size: Size) -> str:
    """Markdown: a section per topic, a row per claim."""
    today = datetime.now(UTC).date().isoformat()
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    parts = [
        "# Scoreboard\n",
        f"Written by `make scoreboard` on {today} ({machine}, size `{size}`). A claim that does not hold says so.\n",
    ]
    for topic in sorted({claim.topic for claim in claims}):
        parts += [
            f"## {topic}\n",
            "| claim | measured | target | n | holds |\n|---|---|---|---|---|",
            *(_row(claim) for claim in claims if claim.topic == topic),
            "\nHow each was measured:\n",
            *(f"- *{claim.claim}*: {claim.how}." for claim in claims if claim.topic == topic),
            "",
        ]
    return "\n".join(parts)


def _row(claim: Claim) -> str:
    holds = "yes" if claim.ok else "**no**"
    return (
        f"| {claim.claim} | {claim.value:g} {claim.unit} | {claim.target} | {claim.n} | {holds} |"
    )
