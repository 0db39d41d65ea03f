"""`banyan panic`: everything that may go to legacy goes there, at once."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.control_client import Json, Reason, RunFolder, TokenFile, Url, ask
from cli.outcome import notes, out
from runtime.settings import load
from runtime.stack import STACK_FILE, Stack


def panic(
    off: Annotated[bool, typer.Option("--off", help="End the panic.")] = False,
    reason: Reason = "",
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Send everything to legacy that may go there; lists what may not (its floor is live or above)."""
    method = "DELETE" if off else "POST"
    answer = ask(
        method,
        "/panic",
        url=url,
        token_file=token_file,
        run=run,
        body={"reason": reason},
        otherwise="" if off else _by_hand(run),
    )
    if as_json:
        out.print_json(json.dumps(answer))
        return
    if off:
        out.print(f"Panic is over (version {answer['version']}): stages decide again.")
    else:
        out.print(f"To legacy: {', '.join(answer['goes']) or 'nothing'}")
    for stays in answer["stays"]:
        notes.print(f"[yellow]Stays with the service:[/] {stays['entity']}: {stays['reason']}")
    if not answer["published"]:
        notes.print(
            "[yellow]Not yet pushed:[/] Redis does not answer; the kill-switch file works without it."
        )


def _by_hand(run: Path) -> str:
    """The way that needs nothing but a shell on the gateway's machine."""
    stack_file = run / STACK_FILE.name
    file = str(load().kill_switch_file)
    if stack_file.exists():
        file = Stack.read(stack_file).environment.get("KILL_SWITCH_FILE", file)
    return f"Without it, on each machine that runs a gateway: touch {file} (KILL_SWITCH_FILE there)"
