"""Children are watched: reported, counted and started again when they die, and all gone when we stop."""

import os
import signal
import sys
from pathlib import Path

import pytest

from sandbox import ports
from sandbox.children import ChildDied, Command
from sandbox.health import answers
from sandbox.supervisor import Supervisor
from tests.until import until_async

pytestmark = pytest.mark.stack

_SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Watched:
    """A supervisor with one small web server."""

    def __init__(self, folder: Path) -> None:
        self.changes = 0
        self.port = ports.free()
        self.supervisor = Supervisor(changed=self._count)
        self.folder = folder

    def _count(self) -> None:
        self.changes += 1

    def command(self, name: str = "web", script: str = _SERVER) -> Command:
        return Command(
            name=name,
            argv=(sys.executable, "-I", "-c", script, str(self.port)),
            log=self.folder / f"{name}.log",
            environment={"PATH": os.defpath},
        )

    async def is_healthy(self) -> bool:
        return await answers(self.port, "/healthz")

    async def start(self) -> None:
        await self.supervisor.start(self.command(), self.is_healthy, within=20)


@pytest.fixture
async def watched(tmp_path: Path):
    found = Watched(tmp_path)
    yield found
    await found.supervisor.stop()


async def test_a_started_child_is_ready(watched: Watched):
    await watched.start()

    assert await watched.is_healthy()
    assert not await answers(watched.port, "/anything")


async def test_a_child_that_dies_during_the_start_ends_it(watched: Watched):
    broken = watched.command("broken", "raise SystemExit(4)")
    with pytest.raises(ChildDied) as death:
        await watched.supervisor.start(broken, watched.is_healthy, within=20)
    assert death.value.code == 4


async def test_a_child_that_died_behind_its_start_is_noticed(watched: Watched):
    await watched.start()
    [kept] = watched.supervisor.kept
    kept.child.kill()
    kept.child.process.wait()

    with pytest.raises(ChildDied):
        watched.supervisor.watch()


async def test_a_child_that_dies_later_is_started_again_and_counted(watched: Watched):
    await watched.start()
    watched.supervisor.watch()
    [kept] = watched.supervisor.kept

    for time in (1, 2):
        before = kept.child.pid
        os.kill(before, signal.SIGKILL)

        async def is_back(before: int = before) -> bool:
            return kept.child.pid != before and await watched.is_healthy()

        await until_async(is_back)
        assert (kept.restarts, watched.changes) == (time, time)


async def test_a_task_runs_to_its_end_or_raises(watched: Watched):
    await watched.supervisor.run(watched.command("fine", "print('done')"))
    with pytest.raises(ChildDied):
        await watched.supervisor.run(watched.command("wrong", "raise SystemExit(1)"))
    assert (watched.folder / "fine.log").read_text() == "done\n"


async def test_stopping_ends_all_and_restarts_none(watched: Watched):
    await watched.start()
    watched.supervisor.watch()
    [kept] = watched.supervisor.kept
    await watched.supervisor.stop()

    assert kept.child.code == -signal.SIGTERM
    assert kept.restarts == 0
    assert not await watched.is_healthy()
