"""Which files nobody names."""

from datetime import UTC, datetime, timedelta

import pytest

from runtime.objectstore import Stored
from services.care_plans.orphans import main, sort_out

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def stored(name: str, hours: float) -> Stored:
    return Stored(name=name, size=7, changed_at=NOW - timedelta(hours=hours))


def test_old_ones_that_no_row_names():
    listed = [stored("named", 30), stored("orphan", 25), stored("young", 23), stored("edge", 24)]
    found = sort_out(listed, {"named", "never listed"}, NOW - timedelta(hours=24))
    assert [one.name for one in found.orphans] == ["orphan"]
    assert (found.named, found.young, found.suspicious) == (1, 2, False)


def test_a_store_of_which_nothing_is_named_is_suspicious():
    assert sort_out([stored("a", 30)], set(), NOW).suspicious
    assert not sort_out([], set(), NOW).suspicious


def test_less_than_an_upload_takes_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--delete", "--hours", "1"])
    assert ended.value.code == 2
    assert "--hours" in capsys.readouterr().err
