"""`banyan config check`: every setting as this machine has it, and what is wrong with it."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.table import Table

from cli.outcome import FAILED, fail, notes, out
from runtime.settings import Settings, inherited_environment, load
from runtime.settingserror import SettingsError

app = typer.Typer(help="Settings.", no_args_is_help=True)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One setting; a secret's value is never here."""

    name: str
    value: str
    source: str


@app.callback()
def group() -> None:
    """Settings."""


@app.command()
def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read the configuration as every process does; exit 1 with one sentence per problem."""
    try:
        settings = load()
    except SettingsError as error:
        if as_json:
            out.print_json(json.dumps({"ok": False, "problems": error.problems}))
            raise typer.Exit(FAILED) from None
        fail(*error.problems)
    shown = [_show(settings, name) for name in Settings.model_fields]
    if as_json:
        out.print_json(json.dumps({"ok": True, "settings": [asdict(row) for row in shown]}))
        return
    table = Table("setting", "value", "from", box=None)
    for row in shown:
        table.add_row(row.name, row.value, row.source)
    out.print(table)
    notes.print("The configuration is usable.")


def _show(settings: Settings, name: str) -> Shown:
    value = getattr(settings, name)
    if value is None:
        text = "not set"
    elif isinstance(value, SecretStr):
        text = "********"
    elif isinstance(value, tuple):
        text = ", ".join(value)
    else:
        text = str(value)
    return Shown(name=name.upper(), value=text, source=_source(settings, name))


def _source(settings: Settings, name: str) -> str:
    """Where the value came from, by the order of trust of runtime/settings.py."""
    if name not in settings.model_fields_set:
        return "default"
    environment = {key.upper() for key in inherited_environment()}
    if name.upper() in environment:
        return "environment"
    if name == "service_urls" and any(key.startswith("SERVICE_URL_") for key in environment):
        return "environment"
    if f"{name.upper()}_FILE" in environment:
        return "file"
    return "banyan.yaml"
