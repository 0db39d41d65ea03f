"""`banyan config check`: every setting with its source, no secret, and one sentence per problem."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from runtime.settings import Settings, inherited_environment, secret_names
from tests.fakes.keys import key_setting

pytestmark = pytest.mark.unit

SECRET = "a-secret-that-nobody-may-see-0123456789"


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting in the environment, and no config/banyan.yaml in the present folder."""
    known = {name.upper() for name in Settings.model_fields} | {"BANYAN_CONFIG"}
    for name in inherited_environment():
        if name.upper().removesuffix("_FILE") in known or name.startswith("SERVICE_URL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["config", "check", *arguments])


def shown() -> dict[str, tuple[str, str]]:
    answer = json.loads(check("--json").stdout)
    return {row["name"]: (row["value"], row["source"]) for row in answer["settings"]}


def test_every_setting_is_shown_with_its_default():
    assert check().exit_code == 0
    rows = shown()

    assert rows.keys() == {name.upper() for name in Settings.model_fields}
    assert rows["GATEWAY_PORT"] == ("8400", "default")
    assert rows["REDIS_URL"] == ("not set", "default")


def test_sources_are_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    secret = tmp_path / "cursor"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "banyan.yaml").write_text("log_level: debug\n")
    monkeypatch.setenv("GATEWAY_PORT", "9000")
    monkeypatch.setenv("CURSOR_KEY_FILE", str(secret))
    monkeypatch.setenv("SERVICE_URL_INTAKE", "https://intake.example")
    rows = shown()

    assert rows["GATEWAY_PORT"] == ("9000", "environment")
    assert rows["CURSOR_KEY"] == ("********", "file")
    assert rows["SERVICE_URLS"] == ("{'intake': 'https://intake.example'}", "environment")
    assert rows["LOG_LEVEL"] == ("debug", "banyan.yaml")


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch, form: list[str]):
    monkeypatch.setenv("PROFILE", "sandbox")
    keys = key_setting(SECRET[:30])
    forms = {"object_store_url": f"s3://bucket?secret_access_key={SECRET}"}
    for name in secret_names():
        given = keys if name.endswith("_keys") else forms.get(name, SECRET)
        monkeypatch.setenv(name.upper(), given)
    answer = check(*form)

    assert answer.exit_code == 0
    assert SECRET[:30] not in answer.output
    assert keys.partition(":")[2] not in answer.output
    assert answer.stdout.count("********") == len(secret_names())


def test_each_problem_is_a_sentence_without_the_value(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CURSOR_KEY", "tooshort")
    monkeypatch.setenv("GATEWAY_PORT", "99999x")
    answer = check()

    assert answer.exit_code == 1
    assert "CURSOR_KEY: needs at least 32 bytes" in answer.stderr
    assert "GATEWAY_PORT: " in answer.stderr
    assert "tooshort" not in answer.output
    assert "99999x" not in answer.output
    problems = json.loads(check("--json").stdout)
    assert problems["ok"] is False
    assert len(problems["problems"]) == 2


def test_production_refuses_plaintext(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REDIS_URL", "redis://planted-host.example")
    answer = check()

    assert answer.exit_code == 1
    assert "rediss://" in answer.stderr
    assert "planted-host" not in answer.output
