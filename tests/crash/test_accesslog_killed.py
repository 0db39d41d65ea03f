"""kill -9 while records are written: whoever was answered has a record, and no record is torn but the last."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.crash

KILLS = 10
PROGRAM = Path(__file__).parent / "recording.py"


def killed_somewhere(folder: Path, seed: int, *mode: str) -> tuple[set[int], list[bytes]]:
    """The numbers that were answered before a kill after a random number of answers, and the files' contents."""
    folder.mkdir()
    answers = random.Random(seed).randrange(1, 40_000)
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), *mode], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline() for _ in range(answers)]
        process.kill()
        answered += process.stdout.readlines()
    whole = {int(line) for line in answered if line.endswith(b"\n")}
    assert len(whole) >= answers, "it ended before it was killed"
    return whole, [path.read_bytes() for path in sorted(folder.glob("*.jsonl"))]


def recorded(contents: list[bytes]) -> set[int]:
    """The numbers of all whole lines; each of them must be readable."""
    lines = [line for content in contents for line in content.split(b"\n")[:-1]]
    return {int(line.removeprefix(b'{"n":').removesuffix(b"}")) for line in lines}


@pytest.mark.parametrize("seed", range(KILLS))
def test_whoever_was_answered_has_a_record(tmp_path: Path, seed: int) -> None:
    answered, contents = killed_somewhere(tmp_path / "access", seed)
    assert len(answered) > 0
    assert answered <= recorded(contents)


def test_a_program_that_answers_first_is_found_out(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    answered, contents = killed_somewhere(tmp_path / "access", 1, "answer-first")
    assert not answered <= recorded(contents)
