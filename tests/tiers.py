"""`make test`: every tier that this machine can run, and a table of what ran and what did not; then the compiled data plane.

Arguments go to pytest: `python -m tests.tiers -m 'unit or flow' -x`. With any but --strict-tiers there is one run only, in the
form that GATEWAY_FORM says.
"""

import glob
import subprocess
import sys
from collections import Counter

import pytest

from runtime.compiled.build import BuildFailed, build
from runtime.compiled.form import Form
from runtime.settings import inherited_environment
from tests import tier_plugin
from tests.tier_plugin import TIERS, Tier, tiers_of

STRICT = "--strict-tiers"
DATA_PLANE = """
    tests/crash tests/flow tests/unit/gateway tests/unit/upstream
    tests/unit/test_access*.py tests/unit/test_correlation.py tests/unit/test_headernames.py tests/unit/test_identity.py
    tests/unit/test_ratelimit.py tests/unit/routes/test_match.py
    tests/stack/test_auth_claims.py tests/stack/test_compiled.py tests/stack/test_corpus.py tests/stack/test_differential.py
    tests/stack/test_faults.py tests/stack/test_flagfeed.py tests/stack/test_fuzz.py tests/stack/test_gateway.py
    tests/stack/test_issuer.py tests/stack/test_processes.py tests/stack/test_revocations.py tests/stack/test_upstream*.py
""".split()
"""What has to hold for the compiled form, too: whatever runs the data plane's modules."""


def main(arguments: list[str]) -> int:
    """Exit code of pytest; that of the first run that failed."""
    narrowed = any(argument != STRICT for argument in arguments)
    # A copy: pytest puts its own options into the list.
    code = int(pytest.main([*arguments], plugins=[tier_plugin, Table()]))
    return code if code or narrowed else _compiled(strict=STRICT in arguments)


def _compiled(*, strict: bool) -> int:
    """The data plane's tests once more, over its compiled form. Where it cannot be made, that is said, or `strict` a failure."""
    sys.stderr.write("\nThe data plane once more, compiled (runtime/compiled/) ...\n")
    try:
        build()
    except BuildFailed as error:
        sys.stderr.write(f"{error}\nThe compiled form was not tested: it cannot be made here.\n")
        return int(strict)
    found = {pattern: sorted(glob.glob(pattern)) for pattern in DATA_PLANE}
    gone = [pattern for pattern, paths in found.items() if not paths]
    if gone:
        sys.stderr.write(
            f"DATA_PLANE in tests/tiers.py names what is not there: {', '.join(gone)}\n"
        )
        return 1
    paths = [path for paths in found.values() for path in paths]
    command = [sys.executable, "-m", "tests.tiers", *([STRICT] if strict else []), *paths]
    environment = {**inherited_environment(), "GATEWAY_FORM": Form.COMPILED}
    return subprocess.run(command, env=environment, check=False).returncode


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
