"""`banyan alerts list|ack|resolve`: what has to be looked at, who is on it, and what only a person can say is over."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.control_client import Json, Reason, RunFolder, TokenFile, Url, ask
from cli.outcome import out
from runtime.stack import STACK_FILE

app = typer.Typer(help="What has to be looked at.", no_args_is_help=True)


@app.command("list")
def list_(
    resolved: Annotated[bool, typer.Option("--all", help="With those that are over.")] = False,
    before: Annotated[int | None, typer.Option(help="Alerts before this number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Alerts that are not over, newest first."""
    query: dict[str, Any] = {"limit": limit}
    query |= {"resolved": "true"} if resolved else {}
    query |= {"before": before} if before else {}
    answer = ask("GET", "/alerts", url=url, token_file=token_file, run=run, query=query)
    if as_json:
        out.print_json(json.dumps(answer))
        return
    if not answer["items"]:
        out.print("Nothing to look at.")
        return
    table = Table(
        "number",
        "class",
        "entity",
        "detail",
        "state",
        "seen",
        "first",
        "last",
        "by",
        "what to do",
        box=None,
    )
    for item in answer["items"]:
        seen = (str(item["count"]), item["first_seen"], item["last_seen"])
        what = (item["alert_class"], item["entity"], item["detail"], item["state"])
        by = item["acknowledged_by"] or ""
        table.add_row(str(item["id"]), *what, *seen, by, item["runbook"])
    out.print(table)


@app.command()
def ack(
    number: Annotated[int, typer.Argument(help="As `banyan alerts list` shows it.")],
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Say that you are on it. It is over when its cause is."""
    path = f"/alerts/{number}/acknowledge"
    answer = ask("POST", path, url=url, token_file=token_file, run=run, body={})
    if as_json:
        out.print_json(json.dumps(answer))
        return
    alert = answer["alert"]
    out.print(
        f"{alert['alert_class']} (number {alert['id']}): {alert['acknowledged_by']} is on it.",
        markup=False,
    )
    out.print(f"What to do: {alert['runbook']}", markup=False)


@app.command()
def resolve(
    number: Annotated[int, typer.Argument(help="As `banyan alerts list` shows it.")],
    reason: Reason = "",
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Say that it is over, where only a person can: a conflict, a secret key that was refused."""
    path = f"/alerts/{number}/resolve"
    body = {"reason": reason}
    answer = ask("POST", path, url=url, token_file=token_file, run=run, body=body)
    if as_json:
        out.print_json(json.dumps(answer))
        return
    alert = answer["alert"]
    out.print(f"{alert['alert_class']} (number {alert['id']}) is over.", markup=False)
