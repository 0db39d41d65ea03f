"""How commands end: 0 done, 1 failed, 2 wrong usage, 3 refused with the reason and the next legal step."""

import sys
from typing import NoReturn

import typer
from rich.console import Console

FAILED, REFUSED = 1, 3

_WIDE = 240
"""Of what is no terminal: a table in a file or pipe is not cut to 80 columns."""

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)
notes = Console(stderr=True, highlight=False, soft_wrap=True)
"""Progress and reasons go to standard error, so that `--json` on standard output stays clean."""


def fail(*reasons: str) -> NoReturn:
    _end(FAILED, reasons)


def refuse(*reasons: str) -> NoReturn:
    """`reasons`: why not, and what to do instead."""
    _end(REFUSED, reasons)


def _end(code: int, reasons: tuple[str, ...]) -> NoReturn:
    for reason in reasons:
        notes.print(reason, markup=False)
    raise typer.Exit(code)
