"""A conformance case: one request, what must come back, and perhaps what a reading afterwards must show.

Cases are YAML; the words are the fields below, `get:` to `options:` name method and path. Bodies are compared as JSON
values, but numbers as they are written (`12.50` is not `12.5`); `text` compares byte for byte. Of an error, the code is
compared, and details only where they are documented; never its message, never Content-Length.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

FOLDER = Path(__file__).with_name("cases")
METHODS = ("get", "head", "post", "patch", "put", "delete", "options")


class BadCase(Exception):
    """A case that cannot be read; the message says which and why."""


class Case(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    method: str
    path: str
    headers: Mapping[str, str] = Field({}, description="Sent, beside profile and API key")
    send: str | None = Field(None, alias="json", description="The request's body as it is sent")
    write: bool = Field(False, description="It changes something if it is not refused")
    status: int
    body: str | None = Field(None, description="Expected JSON")
    text: str | None = Field(None, description="Expected bytes")
    code: str | None = Field(None, description="`code` of the expected error")
    details: str | None = Field(None, description="`details` of the expected error")
    answer: Mapping[str, str | None] = Field(
        {}, description="Expected headers; null: must not be there"
    )
    then: str | None = Field(None, description="A reading afterwards")
    rows: str | None = Field(None, description="The JSON that it must answer")


def load(folder: Path = FOLDER) -> tuple[Case, ...]:
    """All cases, in the order of files and lines. Raises BadCase."""
    cases: dict[str, Case] = {}
    for path in sorted(folder.glob("*.yaml")):
        for written in yaml.safe_load(path.read_text(encoding="utf-8")):
            case = _read(path, written)
            if case.id in cases:
                raise BadCase(f"{path.name}: {case.id} is there twice")
            cases[case.id] = case
    return tuple(cases.values())


def _read(path: Path, written: dict[str, Any]) -> Case:
    named = [method for method in METHODS if method in written]
    if len(named) != 1:
        raise BadCase(f"{path.name}: {written.get('id')} must name one method")
    target = written.pop(named[0])
    written.setdefault("write", named[0] in ("post", "patch", "put", "delete"))
    try:
        return Case(method=named[0].upper(), path=target, **written)
    except ValidationError as error:
        raise BadCase(f"{path.name}: {written.get('id')}: {error}") from None


def differences(case: Case, response: httpx.Response) -> list[str]:
    """One phrase for each way in which the answer is another one."""
    found = []
    if response.status_code != case.status:
        found.append(f"status {response.status_code}, expected {case.status}")
    if case.body is not None and not same_json(case.body, response.text):
        found.append(f"body {response.text!r}, expected {case.body!r}")
    if case.text is not None and response.text != case.text:
        found.append(f"body {response.text!r}, expected {case.text!r}")
    for name, expected in case.answer.items():
        got = response.headers.get(name)
        if got != expected:
            found.append(f"header {name} {got!r}, expected {expected!r}")
    if case.code is not None:
        found += _error_differences(case, response)
    return found


def _error_differences(case: Case, response: httpx.Response) -> list[str]:
    try:
        error = json.loads(response.text)
    except ValueError:
        return [f"body {response.text!r}, expected an error with code {case.code}"]
    if not isinstance(error, dict) or not {"code", "message", "details", "hint"} <= set(error):
        return [f"body {response.text!r} is no error of four keys"]
    found = []
    if error["code"] != case.code:
        found.append(f"code {error['code']}, expected {case.code}")
    if case.details is not None and error["details"] != case.details:
        found.append(f"details {error['details']!r}, expected {case.details!r}")
    return found


def same_json(expected: str, got: str) -> bool:
    """Equal values; keys in any order, numbers digit for digit."""
    try:
        return bool(_parsed(expected) == _parsed(got))
    except ValueError:
        return False


def _parsed(text: str) -> Any:
    def number(digits: str) -> tuple[str, str]:
        return "number", digits  # a tuple, so that it never equals the text of the same digits

    return json.loads(text, parse_int=number, parse_float=number)
