"""The plugin and the runner, each in a small project of its own."""

import pytest

from tests import npm, tier_plugin
from tests.tiers import Table

pytestmark = pytest.mark.unit
pytest_plugins = ["pytester"]

MARKED = """
    import pytest

    @pytest.mark.unit
    def test_light(): pass

    @pytest.mark.unit
    @pytest.mark.node
    def test_heavy(): raise AssertionError("must not run where the tier is missing")
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs pytest in a new project on a machine without Node; the plugin and the table are loaded."""

    def no_node():
        raise npm.NpmUnavailable("node and npm are not on the PATH")

    monkeypatch.setattr(npm, "install", no_node)
    tier_plugin._node_missing.cache_clear()
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # a second less per run
    markers = "\n".join(f"    {tier.name}: tier" for tier in tier_plugin.TIERS)
    pytester.makeini(f"[pytest]\nmarkers =\n{markers}\n")

    def start(source: str, *arguments: str):
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess(*arguments, plugins=[tier_plugin, Table()])

    yield start
    tier_plugin._node_missing.cache_clear()


def test_missing_tier_is_skipped_with_its_reason(run):
    result = run(MARKED, "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*SKIPPED*node: node and npm are not on the PATH*"])
    assert result.ret == pytest.ExitCode.OK


def test_strict_makes_a_missing_tier_a_failure(run):
    result = run(MARKED, "--strict-tiers")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*node and npm are not on the PATH (with --strict-tiers*"])


def test_strict_makes_any_other_skip_a_failure(run):
    source = """
        import pytest

        @pytest.mark.unit
        def test_skips(): pytest.skip("a reason of its own")
    """
    assert run(source).ret == pytest.ExitCode.OK
    result = run(source, "--strict-tiers")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a reason of its own (with --strict-tiers*"])


def test_strict_sees_a_skipped_module(run):
    source = 'import pytest; pytest.skip("not here", allow_module_level=True)'
    result = run(source, "--strict-tiers")
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_strict_lets_an_expected_failure_be(run):
    source = """
        import pytest

        @pytest.mark.unit
        @pytest.mark.xfail(strict=True, reason="known")
        def test_known(): assert False
    """
    result = run(source, "--strict-tiers")
    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines(["unit * yes, 1 failed as expected"])
    assert result.ret == pytest.ExitCode.OK


def test_a_test_without_tier_stops_the_run_even_if_it_is_not_selected(run):
    result = run("def test_homeless(): pass", "-m", "unit")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*1 tests have no tier marker*", "*::test_homeless"])


def test_table_names_what_ran_and_why_not(run):
    result = run(MARKED)
    result.stdout.fnmatch_lines(
        [
            "unit * 1 * 0 * 0  yes",
            "stack * 0 * 0 * 0  no tests selected",
            "node * 0 * 0 * 1  no: node and npm are not on the PATH",
        ]
    )


def test_needs_of_a_tier_nobody_selected_are_not_looked_at(run):
    run(MARKED, "-m", "not node").assert_outcomes(passed=1, deselected=1)
    assert tier_plugin._node_missing.cache_info().misses == 0
