"""`banyan audit list|verify`: what was done, and whether its records are still what was written."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import asyncpg
import typer
from rich.table import Table

from cli.control_client import Json, RunFolder, TokenFile, Url, ask
from cli.outcome import fail, notes, out, refuse
from cli.run_settings import run_settings
from runtime.auditanchor import AnchorFile
from runtime.auditverify import Fault, Verdict, verify
from runtime.postgres import POSTGRESQL
from runtime.settings import Settings
from runtime.settingserror import SettingsError
from runtime.stack import STACK_FILE

app = typer.Typer(help="The audit chain.", no_args_is_help=True)

_NAMES = ("PROFILE", "CONTROL_DATABASE_URL", "AUDIT_KEYS", "AUDIT_ANCHOR_FILE")
_SAID = {
    Fault.MISSING: "is not there, and later ones are: it was deleted",
    Fault.CUT: "and all behind it are not there: the tail was cut off",
    Fault.ALTERED: "is not what was written, or key {key} is another one",
    Fault.UNLINKED: "does not follow the one before: it was inserted, moved or made anew",
    Fault.REWRITTEN: "is not the one that was anchored: somebody with the key made the chain anew",
    Fault.UNKNOWN_KEY: "was made with key {key}, which AUDIT_KEYS does not hold",
    Fault.WRONG_HEAD: "is not what the head row says",
}


@app.command("list")
def list_(
    writer: Annotated[
        str | None, typer.Option(help="Of one chain: control, or operators; default: of all.")
    ] = None,
    before: Annotated[
        int | None, typer.Option(help="Of one chain: records before this number.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    run: RunFolder = STACK_FILE.parent,
) -> None:
    """What was done through the control API (control) and by commands past it (operators), newest first."""
    query: dict[str, Any] = {"limit": limit}
    query |= {"writer": writer} if writer else {}
    query |= {"before": before} if before else {}
    answer = ask("GET", "/audit", url=url, token_file=token_file, run=run, query=query)
    if as_json:
        out.print_json(json.dumps(answer))
        return
    table = Table("chain", "number", "at", "action", "by", "reason", "what", box=None)
    for item in answer["items"]:
        cells = (item["at"], item["action"], item["actor"], item["reason"])
        table.add_row(item["writer"], str(item["n"]), *cells, json.dumps(item["subject"]))
    out.print(table)


@app.command("verify")
def verify_(as_json: Json = False, run: RunFolder = STACK_FILE.parent) -> None:
    """Read every record of the control database, and name the first bad one of each chain; exit 1 if there is one.

    Needs CONTROL_DATABASE_URL, AUDIT_KEYS and AUDIT_ANCHOR_FILE, or the running sandbox.
    """
    try:
        settings = run_settings(run, _NAMES)
        verdicts, anchored = asyncio.run(_verify(settings))
    except SettingsError as error:
        refuse(*error.problems)
    except POSTGRESQL as error:
        fail(f"The control database or the anchors cannot be read ({type(error).__name__}).")
    broken = [verdict for verdict in verdicts if verdict.broken is not None]
    if as_json:
        chains = [{**asdict(verdict), "anchored": anchored[verdict.writer]} for verdict in verdicts]
        out.print_json(json.dumps({"ok": not broken, "chains": chains}))
    else:
        _tell(verdicts, anchored)
    if broken:
        fail(f"{len(broken)} of {len(verdicts)} chains are broken.")


async def _verify(settings: Settings) -> tuple[Sequence[Verdict], dict[str, int]]:
    """The verdicts, and by writer how far the chain is anchored."""
    keys = settings.need_keyring("audit_keys")
    dsn = settings.need_secret("control_database_url")
    anchors = AnchorFile(settings.audit_anchor_file).furthest("control")
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "banyan audit"})
    try:
        verdicts = await verify(connection, keys, anchors=anchors)
    finally:
        await connection.close()
    return verdicts, {v.writer: anchors[v.writer].n if v.writer in anchors else 0 for v in verdicts}


def _tell(verdicts: Sequence[Verdict], anchored: dict[str, int]) -> None:
    for verdict in verdicts:
        end = f"anchored to {anchored[verdict.writer]}"
        out.print(f"{verdict.writer}: {verdict.records} good records, {end}", markup=False)
        if not anchored[verdict.writer]:
            notes.print(
                "Without an anchor a tail that was cut off together with its head is not seen."
            )
        if verdict.broken is not None:
            said = _SAID[verdict.broken.fault].format(key=verdict.broken.key_id)
            notes.print(f"{verdict.writer}: record {verdict.broken.n} {said}", markup=False)
