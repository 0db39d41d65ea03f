"""The README's five minutes, run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.settings import inherited_environment
from runtime.stack import Stack

pytestmark = pytest.mark.stack

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = README.partition("<!-- tour -->")[2].partition("<!-- /tour -->")[0]


@pytest.fixture
def said(world: Stack, world_folder: Path) -> str:
    """What the tour's commands print, in a folder whose .run is the running world's. Its flags go back afterwards."""
    script = "\n".join(re.findall(r"```sh\n(.*?)```", TOUR, re.DOTALL))
    script = script.replace("http://127.0.0.1:8400", world.urls["gateway"])
    script = script.replace("http://127.0.0.1:8420", world.urls["legacy"])
    script = script.replace(". .venv/bin/activate", f'PATH="{Path(sys.executable).parent}:$PATH"')
    link = world_folder / ".run"
    if not link.exists():
        link.symlink_to(world_folder / "run")
    back = "banyan flags ramp lab-orders shadow 0 > /dev/null"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{script}\n{back}"],
        cwd=world_folder,
        env=inherited_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_five_minutes_are_true(said: str) -> None:
    counted = re.findall(
        r'^(.+): "total":(\d+), Supabase content-range: \S+/(\d+)$', said, re.MULTILINE
    )
    assert len(counted) == 6
    assert all(ours == theirs for _, ours, theirs in counted)
    assert {name for name, ours, _ in counted if int(ours)} == {
        "patient lab-orders",
        "clinician lab-orders",
        "partner partner/checkins",
    }
    sums = re.findall(r"^([0-9a-f]{64})  -$", said, re.MULTILINE)
    assert len(sums) == 6
    assert sums[:3] == sums[3:]
    assert len(set(sums)) == 3
    assert "share: at least live for 100 percent" in said
    assert '"stage":"live","side":"service"' in said
    assert '"code": "unknown_parameter"' in said
    assert "the same answer twice" in said
    found = '"origin":"service","correlation_id":"five-minutes-1"'
    assert said.count(found) == 1
    assert re.search(r"^lab_orders #1: written on service at .*, on legacy at ", said, re.MULTILINE)


def test_every_command_of_the_table_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
