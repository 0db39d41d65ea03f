"""The control API, as the operator commands use it: one request, and an ending for everything that can go wrong."""

from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import typer

from cli.outcome import fail, refuse
from runtime.settingserror import SettingsError
from runtime.settingsources import read_secret
from runtime.stack import STACK_FILE, Stack

Url = Annotated[str | None, typer.Option(help="Control API; default: the running sandbox's.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File (mode 0600) with your operator's token; default: the sandbox's operator."
    ),
]
RunFolder = Annotated[Path, typer.Option("--run", help="Folder of the sandbox.", hidden=True)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option(help="Why; needed in production.")]

_SECONDS = 10.0


def ask(
    method: str,
    path: str,
    *,
    url: str | None,
    token_file: Path | None,
    run: Path,
    body: dict[str, Any] | None = None,
    query: dict[str, Any] | None = None,
    role: str = "operator",
    otherwise: str = "",
) -> dict[str, Any]:
    """The answer's JSON. Ends the command: 3 with the reasons where the API refuses, 1 where it cannot be had.

    `role`: whose token of the sandbox's is used; `otherwise`: what can be done without the control API.
    """
    base, token = _where(url, token_file, run, role)
    try:
        answer = httpx.request(
            method,
            base.rstrip("/") + path,
            json=body,
            params=query,
            headers={"authorization": f"Bearer {token}"},
            timeout=_SECONDS,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        silent = f"The control API at {base} does not answer ({type(error).__name__})."
        fail(silent, *([otherwise] if otherwise else ()))
    if not answer.is_success:
        _end(answer)
    found: dict[str, Any] = answer.json()
    return found


def _end(answer: httpx.Response) -> NoReturn:
    try:
        problem = answer.json()
    except ValueError:
        fail(f"The control API answered {answer.status_code}.")
    details = [f"{error['field']}: {error['code']}" for error in problem.get("errors", ())]
    reasons = [
        f"{problem['title']}: {problem['detail']}",
        *details,
        *problem.get("reasons", ()),
        f"correlation id {problem['correlation_id']}",
    ]
    if answer.status_code >= 500:
        fail(*reasons)
    refuse(*reasons)


def _where(url: str | None, token_file: Path | None, run: Path, role: str) -> tuple[str, str]:
    if (url is None) != (token_file is None):
        refuse("--url and --token-file belong together: a token is for one control API.")
    if url is not None and token_file is not None:
        try:
            return url, read_secret(token_file)
        except SettingsError as error:
            refuse(*error.problems)
    stack = running(run)
    return stack.urls["control"], stack.operators[role]


def running(run: Path) -> Stack:
    """The running sandbox; ends the command when there is none."""
    try:
        return Stack.read(run / STACK_FILE.name)
    except FileNotFoundError:
        refuse("No sandbox runs here: banyan up starts one; or name --url and --token-file.")
