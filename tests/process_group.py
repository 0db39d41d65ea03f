"""A running group of tests/small_program.py, and requests to it that tell what became of them."""

import asyncio
import json
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.settings import inherited_environment
from runtime.tasks import spawn, stop
from sandbox.children import Child, Command, start
from tests.until import until_async


@dataclass(frozen=True)
class Group:
    """A running group of tests/small_program.py, or one process of it."""

    parent: Child

    @property
    def log(self) -> list[dict[str, Any]]:
        text = self.parent.command.log.read_text(encoding="utf-8")
        # The last line may be in the middle of being written.
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def told(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["event"] == event]

    @property
    def port(self) -> int:
        return int(self.told("process.listening")[0]["port"])

    @property
    def children(self) -> set[int]:
        return children_of(self.parent.pid)

    @property
    def folders(self) -> list[Path]:
        """Where its processes leave their counts."""
        return list(Path(self.parent.command.environment["METRICS_FOLDER"]).iterdir())

    def signal(self, number: signal.Signals) -> None:
        self.parent.process.send_signal(number)

    def wait(self) -> int:
        return self.parent.process.wait(20)


def begin_group(folder: Path, name: str, processes: int, port: int, **environment: str) -> Group:
    """`name` is the log's; counts are left in `groups` of the folder."""
    return Group(
        start(
            Command(
                name="small",
                argv=(
                    *(sys.executable, "-m", "tests.small_program"),
                    *("--processes", str(processes), "--port", str(port)),
                ),
                log=folder / f"{name}.log",
                environment={
                    **inherited_environment(),
                    "PROFILE": "sandbox",
                    "DRAIN_SECONDS": "5",
                    "METRICS_FOLDER": str(folder / "groups"),
                    **environment,
                },
            )
        )
    )


async def ready(group: Group, processes: int = 3) -> int:
    """Each of its processes has answered; how many answers that took."""
    answers: list[str] = []

    async def all_have_answered() -> bool:
        group.parent.expect_alive()
        if not group.told("process.listening"):
            return False
        latest = [await ask(group.port) for _ in range(4 * processes)]
        answers.extend(latest)
        return len(set(latest)) == processes

    await until_async(all_have_answered, within=60)
    assert all(answer.isdigit() for answer in answers), Counter(answers)
    return len(answers)


async def ask(port: int, path: str = "/", *, within: float = 20.0) -> str:
    """The body of the answer to one request on a connection of its own; else what happened instead."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return "refused"
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        async with asyncio.timeout(within):
            answer = await reader.read()
    except TimeoutError:
        return "no answer"
    except ConnectionError:
        return "reset"
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return head[:12].decode() or "closed"
    return body.decode()


@dataclass
class Load:
    """What came of requests that never stop; a process id is an answer."""

    answers: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> dict[str, int]:
        return {what: times for what, times in self.answers.items() if not what.isdigit()}

    @property
    def pids(self) -> set[int]:
        return {int(what) for what in self.answers if what.isdigit()}


@asynccontextmanager
async def under_load(port: int, connections: int = 4) -> AsyncIterator[Load]:
    load = Load()

    async def client() -> None:
        while True:
            load.answers[await ask(port, "/?wait=0.005")] += 1

    clients = [spawn(client(), name=f"client {number}") for number in range(connections)]
    try:
        yield load
    finally:
        await stop(*clients)


async def total(port: int) -> float:
    page = await ask(port, "/metrics")
    found = re.search(r"^banyan_requests_total{.*} (\S+)$", page, re.MULTILINE)
    assert found, page
    return float(found[1])


def children_of(pid: int) -> set[int]:
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return set()
    return {int(word) for word in words.split()}


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}/status").exists() and not zombie(pid)}


def zombie(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return True
