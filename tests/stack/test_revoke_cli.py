"""`banyan revoke|revocations` against a running sandbox: who is revoked is out of the gateway, and in again."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from runtime.stack import Stack
from tests.until import until

pytestmark = pytest.mark.stack

Banyan = Callable[..., Result]


@pytest.fixture
def banyan(world: Stack, world_folder: Path) -> Iterator[Banyan]:
    """Runs a command; afterwards nobody is revoked."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--run", str(world_folder / "run")])

    yield run
    for entry in json.loads(run("revocations", "--json").stdout)["items"]:
        run("revoke", "--lift", str(entry["id"]))


def claim(world: Stack, name: str, claim: str) -> str:
    payload = world.tokens[name].split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))[claim])


def status(world: Stack, name: str) -> int:
    headers = {"authorization": f"Bearer {world.tokens[name]}"}
    url = f"{world.urls['gateway']}/v2/lab-orders?limit=1"
    return httpx.get(url, headers=headers, trust_env=False, timeout=20).status_code


@pytest.mark.parametrize(("option", "name"), [("--user", "sub"), ("--session", "session_id")])
def test_who_is_revoked_is_out_and_in_again(
    banyan: Banyan, world: Stack, option: str, name: str
) -> None:
    assert (status(world, "patient"), status(world, "clinician")) == (200, 200)
    value = claim(world, "patient", name)
    made = banyan("revoke", option, value, "--reason", "stolen laptop", "--json")
    assert made.exit_code == 0, made.output
    until(lambda: status(world, "patient") == 401)
    assert status(world, "clinician") == 200
    shown = banyan("revocations").stdout
    assert value in shown
    assert "stolen laptop" in shown
    number = str(json.loads(made.stdout)["revocation"]["id"])
    assert "Lifted" in banyan("revoke", "--lift", number).stdout
    until(lambda: status(world, "patient") == 200)
    assert value not in banyan("revocations").stdout


def test_twice_is_told(banyan: Banyan) -> None:
    assert banyan("revoke", "--jti", "j-1").stdout.startswith("Revoked: token j-1")
    assert banyan("revoke", "--jti", "j-1").stdout.startswith("Was revoked before: token j-1")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "exactly one"),
        (("--user", "x", "--session", "y"), 2, "exactly one"),
        (("--user", "x", "--lift", "1"), 2, "exactly one"),
        (("--user", "somebody"), 3, "expected_a_uuid"),
        (("--lift", "999999"), 3, "no such thing"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_told(
    banyan: Banyan, arguments: tuple[str, ...], code: int, says: str
) -> None:
    result = banyan("revoke", *arguments)
    assert result.exit_code == code, result.output
    assert says in result.stderr
