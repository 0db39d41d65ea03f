"""The rig that measures what a request costs, in small: every peer that is here starts, does the work and is counted.

Figures are the benchmark's business, not a test's. Peers that are not installed are not installed here either.
"""

from dataclasses import replace

import pytest

from benchmarks.cost import run
from benchmarks.cost.claims import AT_32, LINES, NAIVE, OURS, claims
from benchmarks.cost.load import Load
from benchmarks.cost.peers.banyan import BARE
from benchmarks.cost.report import page, text
from benchmarks.cost.rounds import Round, Row, ratio
from benchmarks.cost.variant import Variant, Work

pytestmark = pytest.mark.stack

PLAN = replace(run.SMALL, settings=(AT_32,))
VARIANTS = [variant for variant in run.VARIANTS if variant is not BARE]
"""The bare one is compiled for itself, which takes minutes: the full measurement does that."""


def test_every_variant_that_is_here_does_its_work_and_is_counted():
    missing = {variant.name: run.missing(variant) for variant in VARIANTS}
    rows = run.measured(PLAN, VARIANTS)
    assert {row.variant.name: row.not_here for row in rows} == missing
    here = [row for row in rows if not row.not_here]
    assert {row.variant.name: row.faults for row in here if row.faults} == {}
    rounds = {row.variant.name: row.rounds[AT_32][0] for row in here}
    assert {name: one.void for name, one in rounds.items() if one.void} == {}
    for row in here:
        counted = rounds[row.variant.name].cpu_us > 0
        assert counted is (row.variant.work is not Work.NONE), row.variant.name
    assert all(row.variant.name in text(rows, [AT_32]) for row in rows)


def test_a_claim_holds_by_the_median_of_the_ratios_within_a_round():
    rows = [_row(NAIVE, 400, 1000, 90), _row(OURS, 10, 10, 10)]
    assert ratio(rows[0], rows[1], AT_32) == (40, 3)
    naive = next(claims(rows))
    assert (naive.value, naive.n, naive.ok) == (40, 3, True)
    assert not next(claims([_row(NAIVE, 399, 1000, 90), rows[1]])).ok


def test_a_void_round_counts_for_nothing_and_no_claim_holds_by_it():
    naive, ours = _row(NAIVE, 500, 500, 500), _row(OURS, 10, 10, 10)
    ours.rounds[AT_32][1] = Round(cpu_us=1, void="3 of 10 answers were not 2xx")
    claim = next(claims([naive, ours]))
    assert (claim.value, claim.n, claim.ok) == (50, 2, False)
    assert "a void round (3 of 10 answers were not 2xx)" in claim.how


def test_no_claim_holds_by_a_variant_that_does_not_do_the_work_or_is_not_here():
    naive, ours = _row(NAIVE, 500), _row(OURS, 10)
    naive.faults = ["no token was not answered by 401"]
    assert not next(claims([naive, ours])).ok
    away = [Row(variant=line.of, not_here="wrk is not installed") for line in LINES]
    found = list(claims(away))
    assert [claim.ok for claim in found] == [False] * len(LINES)
    assert all("wrk is not installed" in claim.how for claim in found)


def test_the_page_says_what_was_not_here():
    rows = [_row(OURS, 10), Row(variant=NAIVE, not_here="away")]
    written = page(rows, list(claims(rows)), PLAN)
    assert "not here: away" in written
    assert "| banyan | full | 10.0 | 10.0 | 1.00 |" in written


def _row(variant: Variant, *costs: float) -> Row:
    load = Load(requests=1000, seconds=1.0, p50_us=900, not_2xx=0, broken=0)
    return Row(variant=variant, rounds={AT_32: [Round(load=load, cpu_us=cost) for cost in costs]})
