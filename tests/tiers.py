"""`make test`: every tier that this machine can run, and a table of what ran and what did not; then the compiled data plane.

Three lanes at a time: the stack tier, which is told as it runs, and beside it its benchmarks in small, and all other tiers with the
compiled run, both told at the end. Each waits half of its time, for engines and processes. Arguments go to pytest: `python -m tests.tiers -m 'unit or flow' -x`. With any but --strict-tiers
there is one run only, in the form that GATEWAY_FORM says.
"""

import glob
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import pytest

from runtime.compiled.build import BuildFailed, build
from runtime.compiled.form import Form
from runtime.settings import inherited_environment
from tests import tier_plugin
from tests.tier_plugin import TIERS, Tier, tiers_of

STRICT = "--strict-tiers"
FIRST = "stack and not (crash or browser or node)"
CLAIMS = "test_*claims.py"
"""Modules of the stack tier that run benchmarks."""
DATA_PLANE = """
    tests/crash/test_accesslog_killed.py tests/flow tests/unit/gateway tests/unit/upstream
    tests/unit/test_access*.py tests/unit/test_correlation.py tests/unit/test_headernames.py tests/unit/test_identity.py
    tests/unit/test_ratelimit.py tests/unit/routes/test_match.py
    tests/stack/test_auth_claims.py tests/stack/test_compiled.py tests/stack/test_corpus.py tests/stack/test_differential.py
    tests/stack/test_faults.py tests/stack/test_flagfeed.py tests/stack/test_fuzz.py tests/stack/test_gateway.py
    tests/stack/test_issuer.py tests/stack/test_processes.py tests/stack/test_revocations.py tests/stack/test_upstream*.py
""".split()
"""What has to hold for the compiled form, too: whatever runs the data plane's modules."""


def main(arguments: list[str]) -> int:
    """Exit code of pytest; that of the first lane that failed."""
    if any(argument != STRICT for argument in arguments):
        return _pytest(arguments)
    with ThreadPoolExecutor(2) as threads:
        beside = [threads.submit(_told, lane, arguments) for lane in (_claims, _others)]
        codes = [_pytest([*arguments, "-m", FIRST, "--ignore-glob", f"*/{CLAIMS}"])]
        for lane in beside:
            sys.stdout.write("\nAnother lane, which ran meanwhile ...\n")
            sys.stdout.flush()
            code, said = lane.result()
            codes.append(code)
            sys.stdout.write(said)
            sys.stdout.flush()
    return next(filter(None, codes), 0)


Lane = Callable[[list[str], IO[bytes]], int]


def _told(lane: Lane, arguments: list[str]) -> tuple[int, str]:
    """Its exit code, and what it has printed."""
    with tempfile.TemporaryFile() as said:
        code = lane(arguments, said)
        said.seek(0)
        return code, said.read().decode(errors="replace")


def _pytest(arguments: list[str]) -> int:
    # A copy: pytest puts its own options into the list.
    return int(pytest.main([*arguments], plugins=[tier_plugin, Table()]))


def _claims(arguments: list[str], said: IO[bytes]) -> int:
    modules = sorted(glob.glob(f"tests/stack/{CLAIMS}"))
    return _run([*arguments, *modules, "-m", FIRST], Form.PLAIN, said)


def _others(arguments: list[str], said: IO[bytes]) -> int:
    """Whatever is not of the stack tier, and then the compiled form."""
    code = _run([*arguments, "-m", f"not ({FIRST})"], Form.PLAIN, said)
    return code or _compiled(arguments, said)


def _compiled(arguments: list[str], said: IO[bytes]) -> int:
    """The data plane's tests once more, over its compiled form. Where it cannot be made, that is said, or with STRICT a failure."""
    said.write(b"\nThe data plane once more, compiled (runtime/compiled/) ...\n")
    try:
        build()
    except BuildFailed as error:
        said.write(f"{error}\nThe compiled form was not tested: it cannot be made here.\n".encode())
        return int(STRICT in arguments)
    found = {pattern: sorted(glob.glob(pattern)) for pattern in DATA_PLANE}
    gone = [pattern for pattern, paths in found.items() if not paths]
    if gone:
        said.write(
            f"DATA_PLANE in tests/tiers.py names what is not there: {', '.join(gone)}\n".encode()
        )
        return 1
    paths = [path for paths in found.values() for path in paths]
    return _run([*arguments, *paths], Form.COMPILED, said)


def _run(arguments: list[str], form: Form, said: IO[bytes]) -> int:
    said.flush()
    command = [sys.executable, "-m", "tests.tiers", *arguments]
    environment = {**inherited_environment(), "GATEWAY_FORM": form}
    return subprocess.run(
        command, env=environment, check=False, stdout=said, stderr=subprocess.STDOUT
    ).returncode


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
