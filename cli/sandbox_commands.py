"""`banyan up|down|status`: both worlds on this machine.

The sandbox is a process of its own (`python -m sandbox`, started here and never imported). It writes its events to
`.run/sandbox.log`, where they are followed from here, and its state to `.run/stack.json`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cli.outcome import FAILED, REFUSED, fail, notes, out, refuse
from runtime.lockfile import is_held
from runtime.stack import STACK_FILE, Stack

RunFolder = Annotated[Path, typer.Option("--run", help="Folder of the sandbox.", hidden=True)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_POLL_SECONDS = 0.1
_STOP_SECONDS = 40.0
_LAST_LINES = 20


def up(
    scale: Annotated[
        int, typer.Option(min=20, help="Synthetic patients in the legacy database.")
    ] = 500,
    seed: Annotated[int, typer.Option(help="Another seed gives other rows.")] = 1,
    detach: Annotated[bool, typer.Option(help="Leave it running; `banyan down` stops it.")] = False,
    durable: Annotated[
        bool, typer.Option(help="PostgreSQL syncs what it writes, as in production: slower.")
    ] = False,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
    only: Annotated[
        str | None, typer.Option(hidden=True, help="Programs to start, comma separated.")
    ] = None,
) -> None:
    """Start both worlds: embedded engines, synthetic patients, gateway and services. Ctrl-C stops all."""
    if is_held(run / "sandbox.lock"):
        refuse(
            "A sandbox already runs here: use it (banyan status), or stop it first (banyan down)."
        )
    arguments = ["--scale", str(scale), "--seed", str(seed), "--run", str(run)]
    arguments += ["--durable"] if durable else []
    arguments += [] if only is None else ["--only", only]
    arguments += (
        [] if detach else ["--parent", str(os.getpid())]
    )  # if we are killed, it stops by itself
    sandbox = Sandbox.start(run / "sandbox.log", arguments)
    # Not KeyboardInterrupt: `make up &` starts us with SIGINT ignored, and SIGTERM must stop the children as well.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sandbox.process.terminate())
    for event in sandbox.events():
        _tell(event, quiet=as_json)
        if event.get("event") == "sandbox.ready":
            _show_stack(run / STACK_FILE.name, as_json=as_json, detach=detach)
            if detach:
                return
    sandbox.end()


def down(run: RunFolder = STACK_FILE.parent) -> None:
    """Stop the sandbox, and make sure that nothing of it is left."""
    if not is_held(run / "sandbox.lock"):
        notes.print("No sandbox runs here.")
        return
    try:
        stack = Stack.read(run / STACK_FILE.name)
    except FileNotFoundError:
        refuse("The sandbox is starting or stopping at this moment: try again in a second.")
    os.kill(stack.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while is_held(run / "sandbox.lock") or _is_alive(stack.pid):
        if time.monotonic() > deadline:
            fail(f"The sandbox (process {stack.pid}) does not stop; see {run / 'sandbox.log'}")
        time.sleep(_POLL_SECONDS)
    left = [process.name for process in stack.processes if _is_alive(process.pid)]
    if left:
        fail(f"Still running: {', '.join(left)}")
    notes.print(f"Stopped, and with it {len(stack.processes)} processes.")


def status(as_json: Json = False, run: RunFolder = STACK_FILE.parent) -> None:
    """Which processes of the sandbox live; exit 1 when none runs here."""
    try:
        stack = Stack.read(run / STACK_FILE.name)
    except FileNotFoundError:
        stack = None
    if stack is None or not is_held(run / "sandbox.lock"):
        if as_json:
            out.print_json(json.dumps({"running": False}))
        else:
            notes.print("No sandbox runs here: banyan up starts one.")
        raise typer.Exit(FAILED)
    rows = [
        {**process.model_dump(), "alive": _is_alive(process.pid)} for process in stack.processes
    ]
    if as_json:
        answer = {"running": True, "ready": stack.ready, "pid": stack.pid}
        out.print_json(json.dumps({**answer, "started_at": stack.started_at, "processes": rows}))
        return
    table = Table("process", "pid", "state", "restarts", "url", "log", box=None)
    for row in rows:
        state = "[green]alive[/]" if row["alive"] else "[red]dead[/]"
        table.add_row(
            row["name"], str(row["pid"]), state, str(row["restarts"]), row["url"], row["log"]
        )
    out.print(table)
    out.print("ready" if stack.ready else "starting")


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """The process that we started, and its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @classmethod
    def start(cls, log: Path, arguments: list[str]) -> "Sandbox":
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "sandbox", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C reaches us alone, and we pass it on once
            )
        return cls(process=process, log=log)

    def end(self) -> None:
        """Wait for its end, and end as it did."""
        code = self.process.wait()
        if code:
            raise typer.Exit(REFUSED if code == REFUSED else FAILED)

    def events(self) -> Iterator[dict[str, Any]]:
        """What it says, as it says it, until it has ended."""
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            ended = False
            while True:
                line = lines.readline()
                if line:
                    yield _parse(line)
                elif ended:
                    return
                else:
                    ended = self.process.poll() is not None
                    if not ended:
                        time.sleep(_POLL_SECONDS)


def _parse(line: str) -> dict[str, Any]:
    """A line that is no event (a warning of a library) is shown as it is."""
    try:
        event = json.loads(line)
    except ValueError:
        return {"event": line.rstrip()}
    return event if isinstance(event, dict) else {"event": line.rstrip()}


def _tell(event: dict[str, Any], *, quiet: bool) -> None:
    """On standard error; `quiet`: only what went wrong."""
    task = escape(str(event.get("task", "")))
    match event.get("event"):
        case "sandbox.failed" | "sandbox.refused":
            _explain(event)
        case _ if quiet:
            return
        case "step.done":
            notes.print(f"  [green]✓[/] {task} [dim]{event['seconds']:.1f} s[/]")
        case "child.died":
            notes.print(f"  [red]✗[/] {task} died (exit {event['status']}), see {event['file']}")
        case "child.restarted":
            notes.print(f"  [yellow]↻[/] {task} started again ({event['count']} times)")
        case "sandbox.stopping":
            notes.print("Stopping ...")
        case "sandbox.stopped":
            notes.print("Stopped; nothing is left running.")


def _explain(event: dict[str, Any]) -> None:
    """Why it did not start, with the end of the log that tells more."""
    reason = event.get("reason") or " ".join(
        str(event[key]) for key in ("error", "sqlstate", "at") if key in event
    )
    task = f"{event['task']}: " if "task" in event else ""
    notes.print(f"{task}{reason}", style="red", markup=False)
    if "file" in event:
        text = Path(event["file"]).read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines()[-_LAST_LINES:]:
            notes.print(f"  {line}", markup=False, style="dim")


def _show_stack(file: Path, *, as_json: bool, detach: bool) -> None:
    stack = Stack.read(file)
    if as_json:
        out.print_json(stack.model_dump_json())
        return
    urls = Table("", "url", box=None)
    for name, url in stack.urls.items():
        urls.add_row(name, url)
    out.print(urls)
    users = Table("sample user", "role", "e-mail", "password", box=None)
    for user in stack.users:
        users.add_row(user.name, user.role, user.email, user.password)
    out.print(users)
    out.print(f"Everything else, tokens included: {file}")
    out.print("`banyan down` stops it." if detach else "Ctrl-C stops it.")


def _is_alive(pid: int) -> bool:
    """Alive, and not merely waiting for its parent to take note of its end."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return state.rpartition(")")[2].split()[0] not in ("Z", "X")
