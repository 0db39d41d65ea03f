"""`banyan access verify DIR`: does every line of the PHI access record fit its schema?"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli.outcome import fail, notes, out, refuse
from runtime.accessrecord import problems

app = typer.Typer(help="The PHI access record.", no_args_is_help=True)

_SHOWN = 20
_OTHERS = 0o077


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Line 0: the file as a whole."""

    file: str
    line: int
    problems: tuple[str, ...]


@dataclass(kw_only=True)
class Tally:
    files: int = 0
    records: int = 0
    """Whole lines, good or bad."""
    unfinished: int = 0
    """Files that end in half a line: their process was killed while it wrote, and answered nobody for it."""


@app.callback()
def _group() -> None:
    """The PHI access record."""


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the access record.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Count the records and name the files and lines that break the schema: fields, never values."""
    if not folder.is_dir():
        refuse("There is no such folder. The setting ACCESS_LOG_FOLDER names it.")
    tally = Tally()
    findings = list(inspect(folder, tally))
    if as_json:
        out.print_json(json.dumps({**asdict(tally), "findings": [asdict(f) for f in findings]}))
    else:
        out.print(
            f"{tally.records} records in {tally.files} files, {tally.unfinished} of them cut off at the end."
        )
        for finding in findings[:_SHOWN]:
            place = f"{finding.file}:{finding.line}" if finding.line else finding.file
            notes.print(f"{place}: {', '.join(finding.problems)}", markup=False)
    if findings:
        fail(f"{len(findings)} problems. --json lists all of them.")


def inspect(folder: Path, tally: Tally) -> Iterator[Finding]:
    """What is wrong, file by file; `tally` is counted up on the way."""
    for path in sorted(folder.glob("*.jsonl")):
        tally.files += 1
        if path.stat().st_mode & _OTHERS:
            yield Finding(file=path.name, line=0, problems=("readable by others",))
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    tally.unfinished += 1
                elif line != b"\n":  # what follows a torn line begins with one
                    tally.records += 1
                    found = problems(line)
                    if found:
                        yield Finding(file=path.name, line=number, problems=tuple(found))
