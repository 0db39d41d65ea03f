"""The stage table, word for word as the design has it."""

import itertools

import pytest

from catalog.stage import MEANINGS, Meaning, Side, Stage

pytestmark = pytest.mark.unit

LEGACY, SERVICE = Side.LEGACY, Side.SERVICE


@pytest.mark.parametrize(
    ("stage", "reads", "compared", "falls_back", "writes", "mirrored"),
    [
        ("legacy", LEGACY, False, False, LEGACY, False),
        ("shadow", LEGACY, True, False, LEGACY, False),
        ("dual_write", LEGACY, True, False, LEGACY, True),
        ("live", SERVICE, True, True, SERVICE, True),
        ("ramp_down", SERVICE, False, False, SERVICE, True),
        ("complete", SERVICE, False, False, SERVICE, False),
    ],
)
def test_what_a_stage_means(stage, reads, compared, falls_back, writes, mirrored):
    assert Stage(stage).meaning == Meaning(
        reads=reads, compared=compared, falls_back=falls_back, writes=writes, mirrored=mirrored
    )


def test_every_stage_has_its_meaning_and_place():
    assert set(MEANINGS) == set(Stage)
    assert [stage.rank for stage in Stage] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("stage", "floor", "ceiling"), list(itertools.product(Stage, repeat=3)))
def test_clamp(stage, floor, ceiling):
    clamped = stage.clamp(floor, ceiling)
    assert clamped.rank >= floor.rank
    assert clamped.rank <= max(floor.rank, ceiling.rank)
    if floor.rank <= stage.rank <= ceiling.rank:
        assert clamped is stage


def test_the_floor_wins_where_the_two_cross():
    assert Stage.SHADOW.clamp(floor=Stage.LIVE, ceiling=Stage.LEGACY) is Stage.LIVE


def test_the_other_side():
    assert [side.other for side in (LEGACY, SERVICE)] == [SERVICE, LEGACY]
