"""Where settings come from, and how a wrong one is told."""

from pathlib import Path

import pytest

from runtime.settings import Settings, load, secret_names
from runtime.settingserror import SettingsError
from runtime.settingsources import read_secret
from tests.fakes.keys import key_setting

pytestmark = pytest.mark.unit

PLAIN = {"profile": "sandbox"}
KEYRINGS = ["FIELD_KEYS", "EVIDENCE_KEYS", "AUDIT_KEYS"]


@pytest.fixture(autouse=True)
def empty_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A YAML file of its own, so that the project's does not matter."""
    path = tmp_path / "banyan.yaml"
    path.write_text("{}\n")
    monkeypatch.setenv("BANYAN_CONFIG", str(path))
    return path


def test_argument_beats_environment_beats_file_beats_yaml(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty_config: Path
) -> None:
    assert load(**PLAIN).gateway_port == 8400
    empty_config.write_text("gateway_port: 1\n")
    assert load(**PLAIN).gateway_port == 1
    secret = tmp_path / "port"
    secret.write_text("2\n")
    secret.chmod(0o600)
    monkeypatch.setenv("GATEWAY_PORT_FILE", str(secret))
    assert load(**PLAIN).gateway_port == 2
    monkeypatch.setenv("GATEWAY_PORT", "3")
    assert load(**PLAIN).gateway_port == 3
    assert load(**PLAIN, gateway_port=4).gateway_port == 4


def test_the_default_profile_is_the_strict_one() -> None:
    assert load().profile == "production"


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("REDIS_URL", "redis://h/0", "rediss://"),
        ("LEGACY_DATABASE_URL", "postgresql://h/db?sslmode=require", "verify-full"),
        ("SERVICES_DATABASE_URL", "postgresql://h/db", "verify-full"),
        ("CONTROL_DATABASE_URL", "postgresql://h/db", "verify-full"),
        ("LEGACY_REST_URL", "http://h", "https://"),
        ("TOKEN_ISSUER", "http://h/auth/v1", "https://"),
        ("TOKEN_JWKS_URL", "http://h/jwks", "https://"),
        ("ALERT_WEBHOOK_URL", "http://h/hook", "https://"),
        ("SERVICE_URL_INTAKE", "http://h", "https://"),
    ],
)
def test_production_refuses_plaintext_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, fix: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load()
    text = str(refused.value)
    assert fix in text
    assert value not in text
    assert name.removeprefix("SERVICE_URL_").lower() in text
    assert load(**PLAIN)


def test_problems_are_one_sentence_each_and_show_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURSOR_KEY", "too-short-secret")
    monkeypatch.setenv("GATEWAY_PORT", "many")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, *")
    with pytest.raises(SettingsError) as refused:
        load(**PLAIN)
    assert len(refused.value.problems) == 3
    text = str(refused.value)
    assert "CURSOR_KEY: needs at least 32 bytes" in text
    assert "GATEWAY_PORT" in text
    assert "name each origin" in text
    assert "too-short-secret" not in text
    assert "many" not in text


@pytest.mark.parametrize("name", KEYRINGS)
def test_keys_by_id_are_checked_at_the_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f"{key_setting('k2', 'k1')},k0:a-secret-of-no-length")
    with pytest.raises(SettingsError, match=f"{name}: key 3 is not 32 bytes") as refused:
        load(**PLAIN)
    assert "a-secret" not in str(refused.value)
    monkeypatch.setenv(name, key_setting("k2", "k1"))
    settings = load(**PLAIN)
    assert settings.need_keyring(name.lower()).newest == "k2"
    assert key_setting("k1").partition(":")[2] not in repr(settings)
    assert name.lower() in secret_names()
    monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        load(**PLAIN).need_keyring(name.lower())


def test_secrets_do_not_belong_in_yaml(empty_config: Path) -> None:
    empty_config.write_text("cursor_key: " + "k" * 40 + "\n")
    with pytest.raises(SettingsError, match="cursor_key is a secret"):
        load(**PLAIN)


def test_unknown_settings_in_yaml_are_named(empty_config: Path) -> None:
    empty_config.write_text("gatway_port: 1\n")
    with pytest.raises(SettingsError, match="GATWAY_PORT"):
        load(**PLAIN)


def test_a_named_yaml_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BANYAN_CONFIG", str(tmp_path / "none.yaml"))
    with pytest.raises(SettingsError, match=r"none\.yaml"):
        load(**PLAIN)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_secret_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_text("value\n")
    path.chmod(mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_secret(path)
    path.chmod(0o600)
    assert read_secret(path) == "value"


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing"):
        read_secret(tmp_path / "nothing")


def test_secrets_are_masked_and_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURSOR_KEY", "k" * 40)
    settings = load(**PLAIN)
    assert "k" * 40 not in repr(settings)
    assert "cursor_key" in secret_names()
    assert "gateway_port" not in secret_names()
    assert settings.need_secret("cursor_key") == "k" * 40


def test_what_a_process_cannot_do_without_is_named() -> None:
    with pytest.raises(SettingsError, match="LEGACY_REST_URL is not set"):
        load(**PLAIN).need("legacy_rest_url")
    with pytest.raises(SettingsError, match="REDIS_URL is not set"):
        load(**PLAIN, redis_url="").need("redis_url")
    with pytest.raises(SettingsError, match="SERVICE_URL_FINANCE is not set"):
        load(**PLAIN).service_url("finance")


def test_a_service_may_have_a_database_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICES_DATABASE_URL", "postgresql://common/db")
    monkeypatch.setenv("SERVICES_DATABASE_URL_FINANCE", "postgresql://finance/db")
    settings = load(**PLAIN)
    assert settings.service_database_url("finance") == "postgresql://finance/db"
    assert settings.service_database_url("intake") == "postgresql://common/db"


def test_service_urls_one_by_one_or_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_URL_INTAKE", "http://intake")
    assert load(**PLAIN).service_url("intake") == "http://intake"
    monkeypatch.setenv("SERVICE_URLS", '{"finance": "http://finance"}')
    assert load(**PLAIN).service_url("finance") == "http://finance"
    monkeypatch.setenv("SERVICE_URLS", '{"billing": "http://finance"}')
    with pytest.raises(SettingsError, match="unknown service billing"):
        load(**PLAIN)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(**PLAIN).gateway_port = 1


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
