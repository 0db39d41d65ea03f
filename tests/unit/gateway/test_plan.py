"""The stage table of the design, read cell by cell."""

import pytest

from catalog.stage import Side, Stage
from gateway.plan import Read, SplitRead, plan_partitions, plan_read, plan_write

pytestmark = pytest.mark.unit

LEGACY, SERVICE = Side.LEGACY, Side.SERVICE


@pytest.mark.parametrize(
    ("stage", "backfilled", "expected"),
    [
        (Stage.LEGACY, False, Read(side=LEGACY)),
        (Stage.LEGACY, True, Read(side=LEGACY)),
        (Stage.SHADOW, False, Read(side=LEGACY, compared_with=SERVICE)),
        (Stage.DUAL_WRITE, False, Read(side=LEGACY, compared_with=SERVICE)),
        (
            Stage.LIVE,
            False,
            Read(side=SERVICE, falls_back=True, federated=True, compared_with=LEGACY),
        ),
        (Stage.LIVE, True, Read(side=SERVICE, falls_back=True, compared_with=LEGACY)),
        (Stage.RAMP_DOWN, False, Read(side=SERVICE)),
        (Stage.COMPLETE, False, Read(side=SERVICE)),
    ],
)
def test_reads_by_stage(stage: Stage, backfilled: bool, expected: Read) -> None:
    assert plan_read(stage, backfilled=backfilled) == expected


@pytest.mark.parametrize("stage", [Stage.LEGACY, Stage.SHADOW, Stage.DUAL_WRITE])
def test_once_somebodys_calendar_has_moved_the_rest_look_at_both(stage: Stage) -> None:
    plan = plan_read(stage, backfilled=True, homes_moved=True)
    assert plan == Read(side=SERVICE, falls_back=True, federated=True)


def test_who_has_moved_is_not_changed_by_others() -> None:
    for stage in (Stage.LIVE, Stage.RAMP_DOWN, Stage.COMPLETE):
        assert plan_read(stage, backfilled=True, homes_moved=True) == plan_read(
            stage, backfilled=True
        )


def test_partitions_of_one_stage_are_one_read() -> None:
    plan = plan_partitions({"a": Stage.LIVE, "b": Stage.LIVE}, backfilled=False)
    assert plan == plan_read(Stage.LIVE, backfilled=False)


def test_partitions_on_both_sides_are_split() -> None:
    plan = plan_partitions(
        {"a": Stage.LIVE, "b": Stage.SHADOW, "c": Stage.COMPLETE}, backfilled=False
    )
    assert plan == SplitRead(
        sides={"a": SERVICE, "b": LEGACY, "c": SERVICE},
        service=Read(side=SERVICE, falls_back=True, federated=True),
    )


def test_partitions_of_one_side_take_the_careful_read() -> None:
    assert plan_partitions({"a": Stage.LIVE, "b": Stage.COMPLETE}, backfilled=False) == Read(
        side=SERVICE, falls_back=True, federated=True
    )
    assert plan_partitions({"a": Stage.LEGACY, "b": Stage.SHADOW}, backfilled=False) == Read(
        side=LEGACY
    )


def test_the_order_of_stages_and_their_clamps() -> None:
    assert [stage.rank for stage in Stage] == sorted(stage.rank for stage in Stage)
    assert Stage.LIVE.clamp(Stage.LEGACY, Stage.SHADOW) is Stage.SHADOW
    assert Stage.LEGACY.clamp(Stage.LIVE, Stage.COMPLETE) is Stage.LIVE
    assert Stage.COMPLETE.clamp(Stage.LIVE, Stage.SHADOW) is Stage.LIVE
    assert Stage.DUAL_WRITE.clamp(Stage.LEGACY, Stage.COMPLETE) is Stage.DUAL_WRITE


def test_from_live_on_no_write_goes_to_legacy_first() -> None:
    for stage in Stage:
        expected = SERVICE if stage.rank >= Stage.LIVE.rank else LEGACY
        assert stage.meaning.writes is expected
        assert stage.meaning.reads is expected
        assert expected.other is not expected


@pytest.mark.parametrize("ceiling", Stage)
@pytest.mark.parametrize("stage", Stage)
def test_writes(stage: Stage, ceiling: Stage) -> None:
    """The whole table of docs/architecture.md section 3, and what the running mirror adds to it (docs/decisions.md 76)."""
    planned = plan_write(stage, ceiling=ceiling)
    by_service = stage in (Stage.LIVE, Stage.RAMP_DOWN, Stage.COMPLETE)
    assert planned.authority is (Side.SERVICE if by_service else Side.LEGACY)
    mirror_runs = ceiling not in (Stage.LEGACY, Stage.SHADOW)
    by_table = stage in (Stage.DUAL_WRITE, Stage.LIVE, Stage.RAMP_DOWN)
    assert planned.announced is (by_table or (not by_service and mirror_runs))
