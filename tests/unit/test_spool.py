"""What was put survives its process, and comes into the log in order."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime.eventlog.errors import LogUnavailable
from runtime.eventlog.protocol import Message
from runtime.settings import inherited_environment
from runtime.spool import Spool, SpoolFailed

pytestmark = pytest.mark.unit


def message(number: int) -> Message:
    return Message(topic="mirror", key=b"k\xff", value=b"%d" % number)


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


class Taken:
    """An event log that takes, or does not."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.refuses = False

    async def append_many(self, messages: Sequence[Message]) -> None:
        if self.refuses:
            raise LogUnavailable("down")
        self.messages += messages


async def test_it_comes_back_in_order_and_is_forgotten_then(tmp_path: Path) -> None:
    spool, taken = Spool(tmp_path), Taken()
    for number in range(1200):
        await spool.put(message(number))
    assert spool.waiting == 1200
    assert await spool.replay(taken.append_many) == 1200
    assert taken.messages == [message(number) for number in range(1200)]
    assert (spool.waiting, files(tmp_path)) == (0, [])
    await spool.put(message(5))
    assert await spool.replay(taken.append_many) == 1


async def test_nothing_is_forgotten_that_the_log_has_not(tmp_path: Path) -> None:
    spool, taken = Spool(tmp_path), Taken()
    await spool.put(message(1))
    taken.refuses = True
    with pytest.raises(LogUnavailable):
        await spool.replay(taken.append_many)
    taken.refuses = False
    await spool.put(message(2))
    await spool.replay(taken.append_many)
    assert taken.messages == [message(1), message(2)]


async def test_a_dead_process_s_file_is_taken_over_a_living_one_s_is_not(tmp_path: Path) -> None:
    dead, living, heir, taken = Spool(tmp_path), Spool(tmp_path), Spool(tmp_path), Taken()
    await dead.put(message(1))
    await living.put(message(2))
    dead.close()  # as the kernel does for who was killed
    assert await heir.replay(taken.append_many) == 1
    assert taken.messages == [message(1)]
    assert living.waiting == 1
    assert await living.replay(taken.append_many) == 1


async def test_a_torn_last_line_costs_nothing_else(tmp_path: Path) -> None:
    dead, heir, taken = Spool(tmp_path), Spool(tmp_path), Taken()
    await dead.put(message(1))
    dead.close()
    file = files(tmp_path)[0]
    with file.open("ab") as end:
        end.write(b'{"topic":"mir')
    assert await heir.replay(taken.append_many) == 1
    assert files(tmp_path) == []


async def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolFailed):
        await Spool(tmp_path / "file").put(message(1))


async def test_files_are_nobody_else_s(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    await spool.put(message(1))
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert files(tmp_path / "spool")[0].stat().st_mode & 0o777 == 0o600


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from runtime.eventlog.protocol import Message
from runtime.spool import Spool

async def main():
    spool = Spool(Path(sys.argv[1]))
    for number in range(50):
        await spool.put(Message(topic="mirror", key=b"k", value=b"%d" % number))
        print(number, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_was_returned_from_outlives_a_kill(tmp_path: Path) -> None:
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env=inherited_environment(),
        capture_output=True,
        cwd=os.getcwd(),
        check=False,
    )
    put = len(killed.stdout.splitlines())
    taken = Taken()
    assert put == 50
    assert await Spool(tmp_path).replay(taken.append_many) == put
