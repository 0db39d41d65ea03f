"""`banyan explain USER ENTITY`: which rule, bucket and clamp decided."""

import base64
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.control_client import Json, RunFolder, TokenFile, Url, ask
from cli.outcome import out
from runtime.stack import STACK_FILE, Stack


def explain(
    user: Annotated[
        str, typer.Argument(help="A sample user's name, or a user's id with --role and --partner.")
    ],
    entity: Annotated[str, typer.Argument(help="lab-orders, appointments, ...")],
    role: Annotated[str, typer.Option(help="The user's application role.")] = "",
    partner: Annotated[str, typer.Option(help="The user's partner id.")] = "",
    cohort: Annotated[
        list[str] | None, typer.Option(help="A cohort that the user's token names.")
    ] = None,
    partition: Annotated[str, typer.Option(help="One partition of the entity.")] = "",
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Why this user is at this stage of this entity."""
    query: dict[str, Any] = {"user": user, "entity": entity, "role": role, "partner": partner}
    if url is None and _is_sample(user, run):
        query |= _sample(user, run)
    if partition:
        query["partition"] = partition
    if cohort:
        query["cohort"] = cohort
    answer = ask("GET", "/explain", url=url, token_file=token_file, run=run, query=query)
    if as_json:
        out.print_json(json.dumps(answer))
        return
    table = Table(show_header=False, box=None)
    for name in (
        "stage",
        "rule",
        "reason",
        "bucket",
        "variant",
        "clamped",
        "floor",
        "ceiling",
        "epoch",
        "backfilled",
        "panic",
        "version",
    ):
        value = answer[name]
        if value not in (None, ""):
            table.add_row(name, str(value))
    out.print(table)


def _is_sample(user: str, run: Path) -> bool:
    return (run / STACK_FILE.name).exists() and user in Stack.read(run / STACK_FILE.name).tokens


def _sample(user: str, run: Path) -> dict[str, Any]:
    """Id, role, partner and cohorts of a sample user, out of the claims of the token."""
    payload = Stack.read(run / STACK_FILE.name).tokens[user].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    rights = claims.get("app_metadata", {})
    return {
        "user": claims["sub"],
        "role": rights.get("app_role", ""),
        "partner": rights.get("partner_id", ""),
        "cohort": rights.get("banyan_cohorts", []),
    }
