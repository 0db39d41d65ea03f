"""`make test`: every tier that this machine can run, in one pytest run, and a table of what ran and what did not.

Arguments go to pytest: `python -m tests.tiers -m 'unit or flow' -x`.
"""

import sys
from collections import Counter

import pytest

from tests import tier_plugin
from tests.tier_plugin import TIERS, Tier, tiers_of


def main(arguments: list[str]) -> int:
    """Exit code of pytest."""
    return int(pytest.main(arguments, plugins=[tier_plugin, Table()]))


class Table:
    """Counts test outcomes by tier and prints them under pytest's own summary."""

    def __init__(self) -> None:
        self.tier_of: dict[str, Tier] = {}
        self.outcomes: Counter[tuple[str, str]] = Counter()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # Also called when a test without a tier has stopped the run.
        self.tier_of = {
            item.nodeid: tiers[-1] for item in session.items if (tiers := tiers_of(item))
        }

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
            self.outcomes[self.tier_of[report.nodeid].name, outcome] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("tiers")
        terminalreporter.write_line(f"{'tier':<10}{'passed':>8}{'failed':>8}{'skipped':>9}  ran")
        for tier in TIERS:
            terminalreporter.write_line(self._line(tier))

    def _line(self, tier: Tier) -> str:
        passed, failed, skipped, xfailed = (
            self.outcomes[tier.name, outcome]
            for outcome in ("passed", "failed", "skipped", "xfailed")
        )
        verdict = "yes"
        if tier not in self.tier_of.values():
            verdict = "no tests selected"
        elif tier.missing():
            verdict = f"no: {tier.missing()}"
        elif not passed + failed + xfailed:
            verdict = "no: the run stopped before"
        elif xfailed:
            verdict = f"yes, {xfailed} failed as expected"
        return f"{tier.name:<10}{passed:>8}{failed:>8}{skipped:>9}  {verdict}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
