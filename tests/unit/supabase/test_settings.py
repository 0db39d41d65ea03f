"""The stand-in's own settings, and that its page names everything that can be set."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from sandbox.conformance.case import load
from sandbox.supabase.faults import Fault
from sandbox.supabase.settings import StandinSettings

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "standin.md"


def test_auth_logs_in_where_the_requests_do() -> None:
    settings = StandinSettings.model_validate(
        {"dsn": "postgresql://authenticator@127.0.0.1:5432/legacy?x=y", "state": "."}
    )
    assert settings.users_dsn() == "postgresql://postgres@127.0.0.1:5432/legacy?x=y"
    own = settings.model_copy(update={"auth_dsn": SecretStr("postgresql://auth@db/x")})
    assert own.users_dsn() == "postgresql://auth@db/x"


def test_the_environment_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEGACY_STANDIN_DSN", "postgresql://authenticator@127.0.0.1/legacy")
    monkeypatch.setenv("LEGACY_STANDIN_STATE", "somewhere")
    monkeypatch.setenv("LEGACY_STANDIN_SCHEMAS", "api, public")
    monkeypatch.setenv("LEGACY_PUBLISHABLE_KEY", "sb_publishable_x")
    settings = StandinSettings.model_validate({})
    assert settings.schemas == ("api", "public")
    assert settings.publishable_key == SecretStr("sb_publishable_x")
    assert "sb_publishable_x" not in repr(settings)


def test_the_page_names_every_setting_and_every_fault() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, field in StandinSettings.model_fields.items():
        variable = field.validation_alias or f"LEGACY_STANDIN_{name}".upper()
        assert f"`{variable}`" in page
    for name in Fault.model_fields:
        assert f"`{name}`" in page
    assert f"- {len(load())} cases of the project's own" in page
