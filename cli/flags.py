"""`banyan flags show|set|unset|ramp|approve`: who is served by which side."""

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from catalog.stage import Stage
from cli.control_client import Json, Reason, RunFolder, TokenFile, Url, ask
from cli.outcome import notes, out
from runtime.stack import STACK_FILE

app = typer.Typer(help="Stages of entities, by share or by name.", no_args_is_help=True)

Entity = Annotated[
    str, typer.Argument(help="lab-orders, appointments, ... as the legacy tables are called.")
]
StageArgument = Annotated[
    Stage, typer.Argument(help="legacy, shadow, dual_write, live, ramp_down or complete.")
]
Partition = Annotated[
    str, typer.Option(help="One partition of the entity (compliance-tasks: a task type).")
]
User = Annotated[str | None, typer.Option(help="A user's id.")]
Role = Annotated[str | None, typer.Option(help="An application role.")]
Partner = Annotated[str | None, typer.Option(help="A partner's id.")]
Cohort = Annotated[str | None, typer.Option(help="A cohort of testers, as tokens name it.")]
Approval = Annotated[
    str | None,
    typer.Option(help="Id of a second person's approval, for a large ramp in production."),
]


@app.command()
def show(
    entity: Annotated[str | None, typer.Argument(help="One entity; default: all.")] = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Shares, overrides, floor and ceiling."""
    path = f"/flags/{entity}" if entity else "/flags"
    answer = ask("GET", path, url=url, token_file=token_file, run=run)
    if as_json:
        out.print_json(json.dumps(answer))
        return
    entities = answer.get("entities", [answer])
    rows = [row for one in entities for row in (one, *one["partitions"])]
    _show(rows, answer["version"])
    for row in rows if entity else ():
        for override in row["overrides"]:
            out.print(f"{override['by']} {override['value']}: {override['stage']}", markup=False)
    if answer.get("panic", {}).get("on"):
        notes.print(
            "[red]Panic is on:[/] all that may go to legacy goes there; banyan panic --off ends it."
        )


@app.command()
def ramp(
    entity: Entity,
    stage: StageArgument,
    percent: Annotated[
        float, typer.Argument(min=0, max=100, help="Share of users, in steps of 0.1.")
    ],
    partition: Partition = "",
    reason: Reason = "",
    approval: Approval = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """At least STAGE for PERCENT of the users. Lower stages keep their shares; raising one moves nobody backward."""
    body = {"stage": stage, "percent": percent, "partition": partition, "reason": reason}
    if approval:
        body["approval"] = approval
    answer = ask(
        "POST", f"/flags/{entity}/ramp", url=url, token_file=token_file, run=run, body=body
    )
    _changed(answer, as_json)


@app.command("set")
def set_(
    entity: Entity,
    stage: StageArgument,
    user: User = None,
    role: Role = None,
    partner: Partner = None,
    cohort: Cohort = None,
    partition: Partition = "",
    reason: Reason = "",
    approval: Approval = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Give STAGE to one user, role, partner or cohort, whatever the shares say."""
    body = {
        **_named(user, role, partner, cohort),
        "stage": stage,
        "partition": partition,
        "reason": reason,
        "approval": approval,
    }
    answer = ask(
        "POST", f"/flags/{entity}/overrides", url=url, token_file=token_file, run=run, body=body
    )
    _changed(answer, as_json)


@app.command()
def unset(
    entity: Entity,
    user: User = None,
    role: Role = None,
    partner: Partner = None,
    cohort: Cohort = None,
    partition: Partition = "",
    reason: Reason = "",
    approval: Approval = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Take an override back."""
    body = {
        **_named(user, role, partner, cohort),
        "partition": partition,
        "reason": reason,
        "approval": approval,
    }
    answer = ask(
        "DELETE", f"/flags/{entity}/overrides", url=url, token_file=token_file, run=run, body=body
    )
    _changed(answer, as_json)


@app.command()
def approve(
    entity: Entity,
    stage: StageArgument,
    percent: Annotated[
        float | None, typer.Argument(min=0, max=100, help="Of a ramp; none with --role.")
    ] = None,
    role: Role = None,
    partition: Partition = "",
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """As an approver: agree to a colleague's `ramp ENTITY STAGE PERCENT` or `set ENTITY STAGE --role`, as things are now."""
    if (percent is None) == (role is None):
        raise typer.BadParameter("name either PERCENT, for a ramp, or --role, for an override")
    change: dict[str, Any] = {"stage": stage, "partition": partition}
    change |= {"kind": "set", "role": role} if role else {"kind": "ramp", "percent": percent}
    body = {"entity": entity, "change": change}
    answer = ask(
        "POST",
        "/approvals",
        url=url,
        token_file=token_file,
        run=run,
        body=body,
        role="approver",
    )
    if as_json:
        out.print_json(json.dumps(answer))
        return
    out.print(f"--approval {answer['approval']}", markup=False)
    notes.print(f"Good for this change only, once, until {answer['expires_at']}.")


def _named(
    user: str | None, role: str | None, partner: str | None, cohort: str | None
) -> dict[str, Any]:
    given = {"user": user, "role": role, "partner": partner, "cohort": cohort}
    found = {name: value for name, value in given.items() if value is not None}
    if len(found) != 1:
        raise typer.BadParameter("name exactly one of --user, --role, --partner, --cohort")
    return found


def _changed(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps(answer))
        return
    for warning in answer["warnings"]:
        notes.print(f"[yellow]Note:[/] {escape(warning)}")
    if answer["down"]:
        notes.print(
            f"[yellow]This is a ramp-down:[/] fewer users at {escape(', '.join(answer['down']))}"
        )
    if not answer["published"]:
        notes.print(
            "[yellow]Stored, and not yet pushed:[/] Redis does not answer; the control API goes on trying."
        )
    entity = answer["entity"]
    _show([entity, *entity["partitions"]], answer["version"])


def _show(rows: list[dict[str, Any]], version: int) -> None:
    """Cumulative shares: `live 25` reads "at least live for 25 %"."""
    table = Table(
        "entity",
        "at least: shadow",
        "dual_write",
        "live",
        "ramp_down",
        "complete",
        "overrides",
        "floor",
        "ceiling",
        "epoch",
        box=None,
    )
    for row in rows:
        name = f"{row['entity']}:{row['partition']}" if row["partition"] else row["entity"]
        shares = [_share(row, stage) for stage in Stage if stage is not Stage.LEGACY]
        table.add_row(
            name,
            *shares,
            str(len(row["overrides"])),
            row["floor"],
            row["ceiling"],
            str(row["epoch"]),
        )
    out.print(table)
    out.print(f"version {version}")


def _share(row: dict[str, Any], stage: Stage) -> str:
    shares = row["at_least"]
    return "by hand" if shares is None else f"{shares[stage]:g} %"
