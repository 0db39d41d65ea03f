"""Where a process is to die: read strictly, hit once, and nothing while nothing is armed."""

import errno
from collections.abc import Iterator

import pytest

from runtime.failpoint import Action, Failpoint, FailpointReached, arm, reach, read_failpoint
from runtime.settings import load
from runtime.settingserror import SettingsError

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm(None)


def test_a_failpoint_is_read():
    assert read_failpoint("W3:hit=2:action=raise") == Failpoint(
        name="W3", hit=2, action=Action.RAISE
    )
    assert read_failpoint("W3") == Failpoint(name="W3", hit=1, action=Action.KILL9)


@pytest.mark.parametrize("text", ["", ":hit=1", "W3:hit=x", "W3:action=jump", "W3:when=1", "W 3"])
def test_another_form_is_refused(text):
    with pytest.raises(ValueError, match="expected NAME"):
        read_failpoint(text)


def test_it_is_hit_once_and_at_its_own_place():
    reach("M1")
    arm("M1:hit=2:action=raise")
    reach("M1")
    reach("M2")
    with pytest.raises(FailpointReached):
        reach("M1")
    reach("M1")


def test_a_full_disk():
    arm("M1:action=enospc")
    with pytest.raises(OSError, match="No space") as full:
        reach("M1")
    assert full.value.errno == errno.ENOSPC


def test_production_refuses_it(monkeypatch):
    assert load(profile="sandbox", failpoint="M1").failpoint == "M1"
    monkeypatch.setenv("FAILPOINT", "M1")
    with pytest.raises(SettingsError, match="production"):
        load()
    monkeypatch.setenv("PROFILE", "sandbox")
    monkeypatch.setenv("FAILPOINT", "M1:when=now")
    with pytest.raises(SettingsError, match="FAILPOINT: expected NAME"):
        load()
