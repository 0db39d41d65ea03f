"""Each protection that is taken away is missed: by a known seed, which keeps all promises with it."""

import pytest

from tests.simulation.run import Outcome, run
from tests.simulation.sabotage import SABOTAGES, Sabotage
from tests.simulation.setting import SETTINGS, varied
from tests.simulation.shrink import shrunk

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("one", SABOTAGES.values(), ids=SABOTAGES)
def test_it_is_found(one: Sabotage) -> None:
    with one.applied():
        broken = run(one.known, one.setting)
    assert {violation.kind for violation in broken.violations} & set(one.breaks)
    assert run(one.known, one.setting).violations == []


def test_the_code_is_whole_again_behind_it() -> None:
    one = SABOTAGES["no_guard"]
    before = run(one.known, one.setting, trace=True)
    with one.applied():
        run(one.known, one.setting)
    assert run(one.known, one.setting, trace=True) == before


def test_a_broken_world_shrinks_to_a_smaller_one_that_breaks_the_same() -> None:
    one = SABOTAGES["no_tombstones"]

    def world(seed: int, setting: object) -> Outcome:
        with one.applied():
            return run(seed, setting, trace=True)  # type: ignore[arg-type]

    whole = world(one.known, one.setting)
    setting, smaller = shrunk(one.setting, whole, world, seeds=10)
    kinds = {violation.kind for violation in whole.violations}
    assert kinds & {violation.kind for violation in smaller.violations}
    assert len(smaller.lines) < len(whole.lines)
    assert setting.users <= one.setting.users


def test_a_world_that_keeps_its_promises_is_left_as_it_is() -> None:
    setting = varied(SETTINGS["calm"], users=1)
    kept = run(1, setting)
    assert shrunk(setting, kept, run) == (setting, kept)
