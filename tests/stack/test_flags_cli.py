"""`banyan flags|explain|panic` against a running sandbox, as an operator types them."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from runtime.stack import Stack

pytestmark = pytest.mark.stack

Banyan = Callable[..., Result]


@pytest.fixture
def banyan(world: Stack, world_folder: Path) -> Iterator[Banyan]:
    """Runs a command; afterwards the flags that these tests touch are as they were."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--run", str(world_folder / "run")])

    yield run
    run("flags", "ramp", "lab-orders", "shadow", "0")
    run("flags", "unset", "lab-orders", "--role", "clinician")
    run("flags", "unset", "lab-orders", "--user", user_id(world, "patient"))
    run("panic", "--off")


def user_id(world: Stack, name: str) -> str:

    payload = world.tokens[name].split(".")[1]
    found: str = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]
    return found


def stage(banyan: Banyan, user: str, entity: str) -> str:
    found: str = json.loads(banyan("explain", user, entity, "--json").stdout)["stage"]
    return found


def test_a_ramp_moves_everybody_and_back(banyan: Banyan) -> None:
    up = banyan("flags", "ramp", "lab-orders", "live", "100")
    assert up.exit_code == 0
    assert "100 %" in up.stdout
    assert stage(banyan, "patient", "lab_orders") == "live"
    assert stage(banyan, "patient", "lab-order-events") == "live"
    assert stage(banyan, "patient", "appointments") == "legacy"
    down = banyan("flags", "ramp", "lab-orders", "shadow", "0")
    assert "ramp-down" in down.stderr
    assert stage(banyan, "patient", "lab-orders") == "legacy"


def test_overrides_by_role_and_by_user(banyan: Banyan, world: Stack) -> None:
    assert banyan("flags", "set", "lab-orders", "live", "--role", "clinician").exit_code == 0
    assert (stage(banyan, "clinician", "lab-orders"), stage(banyan, "patient", "lab-orders")) == (
        "live",
        "legacy",
    )
    me = user_id(world, "patient")
    assert banyan("flags", "set", "lab-orders", "complete", "--user", me).exit_code == 0
    shown = banyan("flags", "show", "lab-orders").stdout
    assert "role clinician: live" in shown
    assert f"user {me}: complete" in shown
    assert banyan("flags", "unset", "lab-orders", "--user", me).exit_code == 0
    assert stage(banyan, "patient", "lab-orders") == "legacy"
    by_hand = banyan("explain", me, "lab-orders", "--role", "clinician", "--json")
    assert json.loads(by_hand.stdout)["stage"] == "live"
    assert "override for role clinician" in banyan("explain", "clinician", "lab-orders").stdout


def test_panic_and_its_end(banyan: Banyan) -> None:
    banyan("flags", "ramp", "lab-orders", "live", "100")
    assert "lab_orders" in banyan("panic").stdout
    assert stage(banyan, "patient", "lab-orders") == "legacy"
    assert "Panic is on" in banyan("flags", "show").stderr
    assert banyan("panic", "--off").exit_code == 0
    assert stage(banyan, "patient", "lab-orders") == "live"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("flags", "ramp", "no-such-thing", "live", "5"), 3, "known are"),
        (("flags", "ramp", "lab-order-events", "live", "5"), 3, "change lab_orders"),
        (("flags", "show", "no-such-thing"), 3, "known are"),
        (("flags", "unset", "lab-orders", "--role", "nobody"), 3, "correlation id"),
        (("flags", "ramp", "lab-orders", "lively", "5"), 2, "lively"),
        (("flags", "ramp", "lab-orders", "live", "101"), 2, "equal to 100"),
        (("flags", "set", "lab-orders", "live"), 2, "exactly one"),
        (("flags", "set", "lab-orders", "live", "--user", "me"), 3, "user"),
        (("flags", "show", "--url", "http://127.0.0.1:1"), 3, "belong together"),
    ],
)
def test_what_cannot_be_done_is_told(
    banyan: Banyan, arguments: tuple[str, ...], code: int, says: str
) -> None:
    result = banyan(*arguments)
    assert result.exit_code == code, result.output
    assert says in result.stderr


def test_another_control_api_needs_its_own_token(
    banyan: Banyan, world: Stack, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(world.operators["viewer"])
    where = ("--url", world.urls["control"], "--token-file", str(token))
    os.chmod(token, 0o644)
    assert "chmod 600" in banyan("flags", "show", *where).stderr
    os.chmod(token, 0o600)
    assert banyan("flags", "show", *where).exit_code == 0
    refused = banyan("flags", "ramp", "lab-orders", "live", "5", *where)
    assert refused.exit_code == 3
    silent = banyan("flags", "show", "--url", "http://127.0.0.1:1", "--token-file", str(token))
    assert (silent.exit_code, "does not answer" in silent.stderr) == (1, True)


def test_without_a_sandbox_it_says_what_to_name(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["flags", "show", "--run", str(tmp_path)])
    assert result.exit_code == 3
    assert "banyan up" in result.stderr


def test_an_approver_approves_and_the_operator_uses_it(banyan: Banyan) -> None:
    approved = banyan("flags", "approve", "lab-orders", "live", "50", "--json")
    assert approved.exit_code == 0, approved.output
    approval = json.loads(approved.stdout)["approval"]
    other = ("flags", "ramp", "lab-orders", "live", "60", "--approval", approval)
    assert (banyan(*other).exit_code, "another change" in banyan(*other).stderr) == (3, True)
    assert (
        banyan("flags", "ramp", "lab-orders", "live", "50", "--approval", approval).exit_code == 0
    )
    by_role = banyan("flags", "approve", "lab-orders", "live", "--role", "clinician")
    assert by_role.stdout.startswith("--approval ")
    assert banyan("flags", "approve", "lab-orders", "live").exit_code == 2


def test_panic_without_the_control_api_names_the_file(banyan: Banyan, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("none")
    token.chmod(0o600)
    result = banyan("panic", "--url", "http://127.0.0.1:1", "--token-file", str(token))
    assert result.exit_code == 1
    assert "touch " in result.stderr
