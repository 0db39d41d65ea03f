"""kill -9: whoever dies without a word, nothing of the sandbox outlives it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandboxes import Banyan, is_alive
from tests.until import until

pytestmark = pytest.mark.crash

ALONE = ("--scale", "20", "--only", "")
WITH_PROGRAMS = ("--scale", "20", "--only", "legacy,intake,control")


def all_are_gone(pids: list[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


def test_children_go_with_a_killed_sandbox_and_what_is_left_is_no_obstacle(banyan: Banyan):
    """Its stack.json says that it runs, its data folders are there: the lock knows better."""
    assert banyan("up", "--detach", *WITH_PROGRAMS).returncode == 0
    stack = banyan.stack()
    pids = [process.pid for process in stack.processes]
    assert len(pids) == 6
    assert all(is_alive(pid) for pid in pids)
    os.kill(stack.pid, signal.SIGKILL)

    until(lambda: all_are_gone([stack.pid, *pids]))
    assert banyan.stack() == stack
    assert banyan("status").returncode == 1
    assert banyan("down").returncode == 0
    assert banyan("up", "--detach", *ALONE).returncode == 0
    assert banyan.stack().pid != stack.pid


def test_everything_goes_with_a_killed_command_line(banyan: Banyan):
    process = banyan.foreground(*ALONE)
    stack = banyan.stack()
    process.kill()

    until(lambda: all_are_gone([stack.pid, *(child.pid for child in stack.processes)]))


def test_nothing_is_started_for_a_parent_that_has_gone_meanwhile(tmp_path: Path):
    nobody = 2**22 + 1
    arguments = ["--run", str(tmp_path), "--parent", str(nobody)]
    ended = subprocess.run([sys.executable, "-m", "sandbox", *arguments], capture_output=True)

    assert ended.returncode == 1
    assert not (tmp_path / "data").exists()
