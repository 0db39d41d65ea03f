"""However a process ends, what it logged before is out; and what its output becomes does not end it."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.stack

START = """
import asyncio, logging, os, resource, signal, sys, threading
import structlog
from runtime import logs

logs.configure("test")
log = structlog.get_logger()

def talk():
    for number in range(1000):
        log.info("row.copied", count=number)
"""

NAME = "Zoë Nuñez"


def run(program: str, **given: Any) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-c", START + program],
        stdout=given.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        timeout=60,
        **given,
    )


def counts(lines: bytes) -> list[int]:
    events = [json.loads(line) for line in lines.splitlines()]
    return [event["count"] for event in events if event["event"] == "row.copied"]


def last(lines: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lines.splitlines()[-1])
    return found


ALL = list(range(1000))


def test_an_ordinary_end() -> None:
    ended = run("talk()")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert counts(ended.stdout) == ALL


def test_an_exit_with_a_code() -> None:
    ended = run("talk()\nsys.exit(3)")
    assert (ended.returncode, counts(ended.stdout)) == (3, ALL)


def test_an_uncaught_exception_and_its_own_line() -> None:
    ended = run(f"talk()\nraise ValueError({NAME!r})")
    assert (ended.returncode, counts(ended.stdout)) == (1, ALL)
    assert (last(ended.stdout)["event"], last(ended.stdout)["error"]) == (
        "process.died",
        "ValueError",
    )
    assert NAME.encode() not in ended.stdout + ended.stderr


def test_sigterm_that_nobody_handles() -> None:
    ended = run("talk()\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()")
    assert (ended.returncode, counts(ended.stdout)) == (-signal.SIGTERM, ALL)


def test_sigterm_in_the_middle_of_logging() -> None:
    """The handler runs wherever the main thread is, often inside the writer."""
    ended = run(
        "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
        "while True: log.info('row.copied', count=1)"
    )
    assert ended.returncode == -signal.SIGTERM
    assert {event["event"] for event in map(json.loads, ended.stdout.splitlines())} <= {
        "row.copied",
        "log.dropped",
    }


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_sigterm_under_an_event_loop(loop: str) -> None:
    ended = run(
        f"import {loop}\n"
        "async def main():\n"
        "    talk()\n"
        "    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)\n"
        "    await asyncio.sleep(60)\n"
        f"{loop}.run(main())"
    )
    assert (ended.returncode, counts(ended.stdout)) == (-signal.SIGTERM, ALL)


def test_sigterm_of_uvicorn() -> None:
    """It gives itself the signal once more when it has shut down; its last lines count as well."""
    ended = run(
        "import uvicorn\n"
        "async def app(scope, receive, send):\n"
        "    for _ in range(2):\n"
        "        message = await receive()\n"
        "        await send({'type': message['type'] + '.complete'})\n"
        "        if message['type'] == 'lifespan.startup':\n"
        "            talk()\n"
        "            asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)\n"
        "uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, loop='uvloop')).run()"
    )
    assert (ended.returncode, counts(ended.stdout)) == (-signal.SIGTERM, ALL)
    assert last(ended.stdout)["logger"] == "uvicorn.error"


def test_who_handles_sigterm_already_keeps_it() -> None:
    ended = run(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "logs.configure('test')\n"
        "talk()\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()"
    )
    assert (ended.returncode, counts(ended.stdout)) == (7, ALL)


def test_a_thread_that_dies_says_so_without_its_text() -> None:
    ended = run(
        f"def die(): raise ValueError({NAME!r})\n"
        "thread = threading.Thread(target=die)\nthread.start()\nthread.join()"
    )
    assert (last(ended.stdout)["event"], last(ended.stdout)["error"]) == (
        "thread.died",
        "ValueError",
    )
    assert NAME.encode() not in ended.stdout + ended.stderr


def test_an_error_in_a_destructor_says_so_without_its_text() -> None:
    ended = run(
        f"class Bad:\n    def __del__(self): raise ValueError({NAME!r})\nbad = Bad()\ndel bad"
    )
    assert last(ended.stdout)["event"] == "process.unraisable"
    assert NAME.encode() not in ended.stdout + ended.stderr


def test_standard_output_that_was_closed_before_it_started() -> None:
    ended = subprocess.run(
        ["sh", "-c", 'exec "$0" "$@" >&-', sys.executable, "-c", START + "talk()\nsys.exit(5)"],
        stderr=subprocess.PIPE,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (5, b"")


def test_a_descriptor_that_becomes_something_else_gets_no_line(tmp_path: Path) -> None:
    other = tmp_path / "other"
    ended = run(
        f"os.close(1)\nassert os.open({str(other)!r}, os.O_WRONLY | os.O_CREAT) == 1\ntalk()"
    )
    assert counts(ended.stdout) == ALL
    assert other.read_bytes() == b""


def test_a_reader_that_leaves_does_not_end_it() -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            START + "log.info('ready')\nsys.stdin.read()\ntalk()\nlogs.flush()\nsys.exit(5)",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        assert b"ready" in process.stdout.readline()
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 5


def test_a_reader_that_blocks_does_not_keep_it_from_ending() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", START + "for _ in range(5): talk()\nsys.exit(5)"],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.wait(60) == 5


def test_a_forked_child_logs_by_itself_and_repeats_nothing_of_its_parent() -> None:
    ended = run(
        "talk()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    log.info('child.speaks')\n"
        "    os._exit(0 if logs.flush() else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0"
    )
    assert ended.returncode == 0, ended.stderr
    assert counts(ended.stdout) == ALL
    assert ended.stdout.count(b"child.speaks") == 1


def test_a_disk_that_was_full_for_a_while(tmp_path: Path) -> None:
    """A line that was cut stands alone; the next one says how many are missing."""
    path = tmp_path / "log"
    with path.open("wb") as out:
        ended = run(
            "def limit(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))\n"
            "log.info('row.copied', count=1)\nlogs.flush()\n"
            "limit(150)\n"
            "log.info('row.copied', count=2)\nlogs.flush()\n"
            "log.info('row.copied', count=3)\nlogs.flush()\n"
            "limit(-1)\n"
            "log.info('row.copied', count=4)\nlogs.flush()\n",
            stdout=out,
        )
    assert (ended.returncode, ended.stderr) == (0, b"")
    one, cut, *rest = path.read_bytes().splitlines()
    assert json.loads(one)["count"] == 1
    assert 0 < len(cut) < len(one)
    told, four = map(json.loads, rest)
    assert (told["event"], told["count"]) == ("log.dropped", 2)
    assert four["count"] == 4
