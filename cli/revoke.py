"""`banyan revoke` and `banyan revocations`: who is let in no more although the token is good."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.control_client import Json, Reason, RunFolder, TokenFile, Url, ask
from cli.outcome import notes, out
from runtime.stack import STACK_FILE

_KINDS = {"sub": "user", "session": "session", "jti": "token"}


def revoke(
    user: Annotated[
        str | None, typer.Option(help="A user's id: all tokens, until it is lifted.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(help="A session's id (session_id): its tokens, for a day.")
    ] = None,
    token: Annotated[
        str | None, typer.Option("--jti", help="A single token's id (jti), for a day.")
    ] = None,
    lift: Annotated[
        int | None, typer.Option(help="Let in again: the number that `banyan revocations` shows.")
    ] = None,
    reason: Reason = "",
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Let a user, a session or a token in no more, within a second. Sign a session out at Supabase, too: it can renew itself."""
    named = {"sub": user, "session": session, "jti": token}
    given = [(kind, value) for kind, value in named.items() if value is not None]
    if len(given) + (lift is not None) != 1:
        raise typer.BadParameter("name exactly one of --user, --session, --jti, --lift")
    method, path, body = "DELETE", f"/revocations/{lift}", {"reason": reason}
    if given:
        [(kind, value)] = given
        method, path = "POST", "/revocations"
        body = {"kind": kind, "value": value, "reason": reason}
    answer = ask(method, path, url=url, token_file=token_file, run=run, body=body)
    if as_json:
        out.print_json(json.dumps(answer))
        return
    _tell(answer, lifted=lift is not None)


def _tell(answer: dict[str, Any], *, lifted: bool) -> None:
    entry = answer["revocation"]
    what = f"{_KINDS[entry['kind']]} {entry['value']}"
    done = "Lifted" if lifted else "Revoked" if answer["changed"] else "Was revoked before"
    out.print(f"{done}: {what} (number {entry['id']})", markup=False)
    if not answer["published"]:
        notes.print(
            "[yellow]Stored, and not yet pushed:[/] Redis does not answer; the control API goes on trying."
        )


def revocations(
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """Every revocation in force, newest first."""
    answer = ask("GET", "/revocations", url=url, token_file=token_file, run=run)
    if as_json:
        out.print_json(json.dumps(answer))
        return
    table = Table("number", "what", "id", "made", "ends", "by", "reason", box=None)
    for entry in answer["items"]:
        table.add_row(
            str(entry["id"]),
            _KINDS[entry["kind"]],
            entry["value"],
            entry["made_at"],
            entry["ends_at"] or "when lifted",
            entry["actor"],
            entry["reason"],
        )
    out.print(table)
