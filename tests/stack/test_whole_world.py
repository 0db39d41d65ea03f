"""Everything that `banyan up` starts, once: it is all there, and the sample users' tokens open it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from catalog.service import Service
from runtime.settings import load
from sandbox.seed.people import PARTNER_A, PEOPLE
from tests.sandboxes import Banyan

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Banyan]:
    command = Banyan(tmp_path_factory.mktemp("world") / "run")
    up = command("up", "--detach", "--scale", "30")
    try:
        assert up.returncode == 0, up.stderr
        yield command
    finally:
        command("down")


def get(world: Banyan, name: str, path: str, token: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=world.stack().urls[name], headers=headers, timeout=10) as client:
        return client.get(path)


def items(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_every_program_answers(world: Banyan):
    names = ["gateway", "control", "legacy", *(service.value for service in Service)]

    assert set(names) <= set(world.stack().urls)
    assert {name: get(world, name, "/healthz").status_code for name in names} == dict.fromkeys(
        names, 200
    )


def test_there_is_a_token_for_everybody(world: Banyan):
    stack = world.stack()
    assert set(stack.tokens) == {person.name for person in PEOPLE if not person.operator}
    assert set(stack.operators) == {"viewer", "operator", "approver", "compliance"}


def test_sample_users_can_sign_in_with_their_password(world: Banyan):
    stack = world.stack()
    for user in stack.users:
        answer = httpx.post(
            f"{stack.urls['legacy']}/auth/v1/token?grant_type=password",
            headers={"apikey": stack.environment["LEGACY_PUBLISHABLE_KEY"]},
            json={"email": user.email, "password": user.password},
        )
        assert answer.status_code == 200, user.name


def test_each_sees_their_own_through_the_gateway(world: Banyan):
    tokens = world.stack().tokens
    [mine] = items(get(world, "gateway", "/v2/submissions", tokens["patient"]))
    orders = items(get(world, "gateway", "/v2/lab-orders", tokens["patient"]))
    of_all = items(get(world, "gateway", "/v2/submissions?limit=200", tokens["clinician"]))
    stock = items(get(world, "gateway", "/v2/partner/stock?limit=200", tokens["partner"]))

    assert {order["submission_id"] for order in orders} == {mine["id"]}
    assert mine["id"] in {submission["id"] for submission in of_all}
    assert len(of_all) >= 30
    assert {level["partner_id"] for level in stock} == {str(PARTNER_A)}


def test_an_operator_may_look_at_flags_and_a_patient_may_not(world: Banyan):
    stack = world.stack()
    assert get(world, "control", "/flags", stack.operators["viewer"]).status_code == 200
    assert get(world, "control", "/flags", stack.tokens["patient"]).status_code == 404


def test_services_hold_every_legacy_row(world: Banyan):
    events = [event for event in world.events() if event["event"] == "table.copied"]

    assert len(events) == 12
    assert all(event["rows"] > 0 and event["count"] == 0 for event in events)


def test_no_log_holds_a_secret_or_a_patient(world: Banyan):
    stack = world.stack()
    [mine] = items(get(world, "gateway", "/v2/submissions", stack.tokens["patient"]))
    secrets = [stack.tokens["patient"], stack.environment["INTERNAL_TOKEN_KEY"], mine["id"]]
    for log in world.run.glob("*.log"):
        text = log.read_text(encoding="utf-8", errors="replace")
        assert not [secret for secret in secrets if secret in text], log.name
        assert "patients.example" not in text, log.name


def test_the_environment_lets_another_process_join(world: Banyan, monkeypatch: pytest.MonkeyPatch):
    """What stack.json names is a configuration that every process accepts."""
    environment = world.stack().environment
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load()

    assert settings.profile == "sandbox"
    assert settings.service_urls.keys() == {service.value for service in Service}
    assert settings.need_secret("cursor_key") == environment["CURSOR_KEY"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/net")
def test_everything_listens_on_loopback_alone(world: Banyan):
    stack = world.stack()
    ports = {
        urlsplit(url).port for url in (*stack.urls.values(), *stack.databases.values(), stack.redis)
    }
    found: dict[int, set[str]] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, port = local.rpartition(":")
            if state == "0A" and int(port, 16) in ports:
                found.setdefault(int(port, 16), set()).add(address)

    assert found == {port: {"0100007F"} for port in ports}
