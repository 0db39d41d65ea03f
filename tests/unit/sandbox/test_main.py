"""`python -m sandbox`: its command line, and what it clears away before it starts."""

from pathlib import Path

import pytest

from sandbox.__main__ import clear, parse
from sandbox.world import PROGRAMS

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "arguments",
    [["--scale", "3"], ["--scale", "many"], ["--only", "nonsense"], ["--unknown"]],
)
def test_wrong_usage(arguments: list[str]):
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2


def test_only_takes_names_or_none_at_all():
    assert parse([]).only is None
    assert parse(["--only", ""]).only == []
    assert parse(["--only", "legacy,gateway"]).only == ["legacy", "gateway"]


def test_programs_have_names_and_wished_ports_of_their_own():
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS)
    assert {program.name: program.port for program in PROGRAMS} == {
        **{"gateway": 8400, "control": 8401, "legacy": 8420, "frontend": 8440},
        **{"intake": 8410, "scheduling": 8411, "diagnostics": 8412, "care_plans": 8413},
        **{"compliance": 8414, "partner_ops": 8415, "finance": 8416},
        **dict.fromkeys(("mirror", "relay", "sync-backfill", "keeper")),
    }


def test_what_an_earlier_world_left_is_removed_and_our_own_log_stays(tmp_path: Path):
    for name in ("gateway.log", "sandbox.log", "stack.json", "panic", "flags.snapshot.json"):
        (tmp_path / name).touch()
    (tmp_path / "data" / "legacy-postgres").mkdir(parents=True)
    clear(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "sandbox.log"]
    assert list((tmp_path / "data").iterdir()) == []
