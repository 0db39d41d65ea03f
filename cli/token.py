"""`banyan token NAME`: a sample user's access token, for curl."""

from pathlib import Path
from typing import Annotated

import typer

from cli.outcome import out, refuse
from runtime.stack import STACK_FILE, Stack

RunFolder = Annotated[Path, typer.Option("--run", help="Folder of the sandbox.", hidden=True)]


def token(
    name: Annotated[
        str, typer.Argument(help="patient, clinician, partner, ..., or an operator role.")
    ],
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Print the access token of a sample user of the running sandbox (12 hours valid)."""
    try:
        stack = Stack.read(run / STACK_FILE.name)
    except FileNotFoundError:
        refuse("No sandbox runs here: banyan up starts one.")
    known = {**stack.operators, **stack.tokens}
    if name not in known:
        refuse(f"There is no sample user {name!r}. Known: {', '.join(known)}.")
    out.print(known[name], markup=False)
