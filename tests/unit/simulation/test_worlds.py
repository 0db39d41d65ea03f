"""Some worlds of each kind keep all promises; a seed is one world. Many more: `python -m tests.simulation --set all`."""

import subprocess
import sys

import pytest

from tests.simulation.run import Outcome, run
from tests.simulation.setting import SETTINGS, Setting

pytestmark = pytest.mark.unit

SEEDS = 24


@pytest.mark.parametrize("name", SETTINGS)
def test_worlds_keep_their_promises(name: str) -> None:
    outcomes = [run(seed, SETTINGS[name]) for seed in range(SEEDS)]
    assert [(one.seed, one.violations) for one in outcomes if one.violations] == []
    assert sum(one.acked for one in outcomes) > SEEDS
    assert sum(one.reads for one in outcomes) > SEEDS


def test_worlds_have_in_them_what_they_are_about() -> None:
    """Else they would keep their promises for nothing."""
    lines = [line for seed in range(SEEDS) for line in _traced(seed, SETTINGS["crashes"]).lines]
    for words in ("dies", "+conflict", "log        is away", "WriteFailed(<Outcome.UNKNOWN", "†"):
        assert any(words in line for line in lines), words
    lines = [line for seed in range(SEEDS) for line in _traced(seed, SETTINGS["switches"]).lines]
    for words in ("switch to service done", "switch to legacy done", "Fenced", "takes nothing"):
        assert any(words in line for line in lines), words


def _traced(seed: int, setting: Setting) -> Outcome:
    return run(seed, setting, trace=True)


def test_a_seed_is_one_world_whatever_the_hashes_are() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--set", "crashes", "--trace", "7"],
            env={"PYTHONHASHSEED": hashes},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hashes in ("1", "2", "3")
    }
    assert len(told) == 1
    assert told.pop().count("\n") > 20
