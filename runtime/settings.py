"""Every setting and every environment variable of every process: the only reader of the environment.

Order of trust: an explicit argument, the environment variable ``NAME``, the file that ``NAME_FILE`` names
(for secrets; it must not be readable by group or others), `config/banyan.yaml`, the default below.
Nothing secret belongs in the YAML file: `load` refuses it there.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from typing_extensions import override

from catalog.service import Service
from runtime.failpoint import read_failpoint
from runtime.keyring import Keyring, read_keyring
from runtime.objecturl import read_object_url
from runtime.plaintext import plaintext
from runtime.settingserror import SettingsError
from runtime.settingsources import SecretFiles, ServiceUrls
from runtime.shadowsettings import ShadowSettings
from runtime.vendorkeys import VendorKeys, read_vendor_keys

CONFIG_FILE = Path("config/banyan.yaml")
SERVICES = tuple(service.value for service in Service)
MIN_KEY_BYTES = 32
_READERS: Mapping[str, Callable[[str], object]] = {
    "field_keys": read_keyring,
    "evidence_keys": read_keyring,
    "audit_keys": read_keyring,
    "object_store_url": read_object_url,
    "vendor_keys": read_vendor_keys,
    "failpoint": read_failpoint,
}
"""Each raises ValueError for a text that is not of its form."""
_ADDRESSES = (
    "legacy_database_url",
    "legacy_control_database_url",
    "legacy_rest_url",
    "services_database_url",
    "services_apply_database_url",
    "services_control_database_url",
    "control_database_url",
    "redis_url",
    "object_store_url",
    "gateway_url",
    "token_issuer",
    "token_jwks_url",
    "alert_webhook_url",
)
"""Settings that must not be plain in production."""


class Settings(ShadowSettings):
    """The whole configuration. Units stand in the names; a URL setting that is None means "not in use"."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, validate_default=True)

    profile: Literal["production", "sandbox"] = Field(
        "production",
        description="`production` refuses plaintext connections; `sandbox` is for one laptop",
    )
    release: str = Field(
        "unnamed",
        pattern="^[A-Za-z0-9._-]{1,64}$",
        description="What runs, as evidence names it: a version or a commit",
    )

    # --- engines: a URL each
    legacy_database_url: SecretStr | None = Field(
        None, description="PostgreSQL of the Supabase project, as the worker role"
    )
    legacy_rest_url: str | None = Field(
        None, description="Base URL of the Supabase project, without /rest/v1"
    )
    services_database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL of the services; SERVICES_DATABASE_URL_<SERVICE> overrides it for one",
    )
    services_apply_database_url: SecretStr | None = Field(
        None,
        description="The same as banyan_apply, for the movers; SERVICES_APPLY_DATABASE_URL_<SERVICE> overrides it for one",
    )
    services_control_database_url: SecretStr | None = Field(
        None,
        description="The same as banyan_control, for restamps; SERVICES_CONTROL_DATABASE_URL_<SERVICE> overrides it for one",
    )
    legacy_control_database_url: SecretStr | None = Field(
        None, description="PostgreSQL of the Supabase project, as banyan_control"
    )
    control_database_url: SecretStr | None = Field(
        None, description="PostgreSQL of the control schema"
    )
    redis_url: SecretStr | None = Field(
        None, description="Redis or Valkey: flag snapshot, push, pins, event log"
    )
    object_store_url: SecretStr | None = Field(
        None,
        description="Files of action plans: file:///folder, memory:///, or s3://bucket/prefix?endpoint=&region=&access_key_id=&secret_access_key=",
    )
    service_urls: dict[str, str] = Field(
        default_factory=dict,
        description="Base URL of each service, a JSON object; SERVICE_URL_<SERVICE> sets one",
    )

    # --- identity
    token_issuer: str | None = Field(
        None, description="Exact `iss` of user tokens: https://<ref>.supabase.co/auth/v1"
    )
    token_jwks_url: str | None = Field(
        None, description="Key set of the issuer; default: <issuer>/.well-known/jwks.json"
    )
    token_hs256_secret: SecretStr | None = Field(
        None, description="The project's legacy HS256 secret, if its tokens are still in use"
    )
    legacy_publishable_key: SecretStr | None = Field(
        None, description="`apikey` that the gateway sends to Supabase"
    )
    internal_token_key: SecretStr | None = Field(
        None, description="Signs the gateway's own short-lived tokens to services, 32 bytes or more"
    )
    cursor_key: SecretStr | None = Field(
        None,
        description="Signs list cursors, 32 bytes or more; the same for gateway and services",
    )

    # --- the gateway's listeners and edges
    gateway_host: str = Field("127.0.0.1", description="Address of the public listener")
    gateway_port: int = Field(8400, ge=0, le=65535, description="Port of the public listener")
    gateway_url: str | None = Field(
        None, description="Base URL under which browsers reach the gateway, for the pages they load"
    )
    control_host: str = Field("127.0.0.1", description="Address of the control API's listener")
    control_port: int = Field(
        8401, ge=0, le=65535, description="Port of the control API's listener"
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "localhost"),
        description="Host header values that are answered, without port; comma separated",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins that browsers may call from; comma separated, never *"
    )
    metrics_peers: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "::1"), description="Addresses that may read /metrics; comma separated"
    )
    edge_addresses: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses of the TLS proxy in front, whose X-Forwarded-For is believed; comma separated",
    )
    gateway_processes: int = Field(
        1, ge=1, le=64, description="Processes of the data plane that share the port"
    )
    gateway_form: Literal["auto", "plain", "compiled"] = Field(
        "auto",
        description="Modules of the data plane: `compiled`, `plain` Python, or compiled if there is a build of these sources",
    )
    metrics_folder: Path | None = Field(
        None,
        description="Where a group of processes makes the folder of its counts; default: the temporary folder",
    )
    drain_seconds: float = Field(
        30.0, gt=0, description="Longest time that requests in flight get after SIGTERM"
    )

    # --- clients
    client_header_seconds: float = Field(
        10.0, gt=0, description="Longest time for a request's head before 408"
    )
    client_body_seconds: float = Field(
        10.0, gt=0, description="After this time a request body must have come at 1 KB/s, else 408"
    )
    client_idle_seconds: float = Field(
        75.0, gt=0, description="An idle client connection is closed after this time"
    )
    connections_per_address: int = Field(
        1000, ge=1, description="Client connections per address and process; EDGE_ADDRESSES exempt"
    )
    user_requests_per_second: float = Field(
        50.0, gt=0, description="Requests per user and process; twice as many may come at once"
    )
    partner_requests_per_second: float = Field(
        200.0, gt=0, description="Requests of all users of a partner, per process"
    )

    # --- upstreams
    read_deadline_seconds: float = Field(5.0, gt=0, description="Total time of one upstream read")
    write_deadline_seconds: float = Field(
        10.0, gt=0, description="Total time of one write, and of each of its statements"
    )
    legacy_statement_seconds: float = Field(
        8.0, gt=0, description="`statement_timeout` of Supabase's API roles"
    )
    connect_seconds: float = Field(
        2.0, gt=0, description="Longest time for an upstream connection to be made, TLS included"
    )
    pool_wait_seconds: float = Field(
        0.25, gt=0, description="Longest wait for an upstream connection before 503"
    )
    upstream_connections: int = Field(100, ge=1, description="Connections per upstream and process")
    upstream_idle_seconds: float = Field(
        30.0, gt=0, description="An idle upstream connection is closed after this time"
    )
    upstream_ca_file: Path | None = Field(
        None, description="Certificates that upstreams are verified by, beside the system's"
    )
    legacy_connections: int = Field(
        50, ge=1, description="Connections to Supabase per process, of its budget for users"
    )
    legacy_requests_per_second: float = Field(
        500.0, gt=0, description="Requests to Supabase per process, of its budget for users"
    )

    # --- the mirror
    spool_folder: Path = Field(
        Path(".run/spool"),
        description="Where a gateway keeps what it announces while the event log cannot be reached",
    )

    # --- services
    request_expiry_seconds: float = Field(
        60.0,
        gt=0,
        description="How often scheduling looks for requests that nobody answered in time",
    )

    # --- the PHI access record
    access_log_folder: Path = Field(
        Path(".run/access"), description="Folder of the PHI access record, one file per process"
    )
    access_log_key: SecretStr | None = Field(
        None, description="Tags row ids in the PHI access record, 32 bytes or more"
    )

    # --- keys by id: `id:base64,id:base64`, each 32 bytes, newest first (runtime/keyring.py)
    field_keys: SecretStr | None = Field(
        None,
        description="Seal PHI in Banyan's own tables; id:base64,…, 32 bytes each, newest first",
    )
    evidence_keys: SecretStr | None = Field(
        None, description="Tag values in evidence; in the form of FIELD_KEYS"
    )
    audit_keys: SecretStr | None = Field(
        None, description="Chain the audit records; in the form of FIELD_KEYS"
    )
    audit_anchor_file: Path = Field(
        Path(".run/audit.anchors.jsonl"),
        description="How far the audit chains had come; keep it where the database's owner cannot reach",
    )

    # --- alerts
    alert_webhook_url: SecretStr | None = Field(
        None, description="Receiver of alerts, told as by Alertmanager (version 4)"
    )

    # --- partners outside
    vendor_keys: SecretStr | None = Field(
        None,
        description="Secrets that laboratories sign with, vendor:base64,…, 32 bytes or more; a vendor twice while one is rotated",
    )

    # --- flags
    flags_file: Path = Field(
        Path("config/flags.json"), description="Flag set of last resort, shipped with the release"
    )
    flags_snapshot_file: Path = Field(
        Path(".run/flags.snapshot.json"),
        description="Last snapshot seen, for a start without Redis",
    )
    kill_switch_file: Path = Field(
        Path(".run/panic"), description="While it exists, all that may go to legacy goes there"
    )
    flags_poll_seconds: float = Field(
        1.0, gt=0, description="Polling behind the push of flag changes"
    )
    flags_second_approver_points: int = Field(
        10,
        ge=0,
        le=100,
        description="A ramp of more points needs a second approver (not in the sandbox)",
    )

    # --- the event log
    event_log_partitions: int = Field(
        8,
        ge=1,
        le=1024,
        description="Partitions of a topic, fixed when it is created: the most members of a group that work on it at once",
    )

    failpoint: str | None = Field(
        None,
        description="Where a test lets this process die: NAME[:hit=N][:action=kill9]; tests only",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level logged"
    )

    @field_validator(
        "allowed_hosts", "cors_origins", "metrics_peers", "edge_addresses", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _no_wildcard(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in value:
            raise ValueError("* is not allowed: name each origin")
        return value

    @field_validator("service_urls")
    @classmethod
    def _known_services(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(value) - set(SERVICES))
        if unknown:
            raise ValueError(f"unknown service {', '.join(unknown)}; known: {', '.join(SERVICES)}")
        return value

    @field_validator("internal_token_key", "cursor_key", "access_log_key")
    @classmethod
    def _long_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < MIN_KEY_BYTES:
            raise ValueError(f"needs at least {MIN_KEY_BYTES} bytes")
        return value

    @field_validator(*_READERS)
    @classmethod
    def _readable(cls, value: SecretStr | str | None, info: ValidationInfo) -> Any:
        if value is not None and info.field_name is not None:
            text = value.get_secret_value() if isinstance(value, SecretStr) else value
            _READERS[info.field_name](text)
        return value

    @model_validator(mode="after")
    def _fit_for_production(self) -> "Settings":
        if self.profile != "production":
            return self
        if self.failpoint is not None:
            raise ValueError("failpoint is for tests, and this is the production profile")
        problems = list(plaintext(self._addresses()))
        if problems:
            raise ValueError("plaintext in the production profile: " + ", ".join(problems))
        return self

    def _addresses(self) -> dict[str, str]:
        """Every URL that is set, by its setting."""
        found = {f"service_urls[{name}]": url for name, url in self.service_urls.items()}
        for name in _ADDRESSES:
            value = getattr(self, name)
            if value:
                found[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
        return found

    def service_database_url(self, service: str) -> str:
        """The DSN of one service: its own override, else the common one. Raises SettingsError without either."""
        return self._of_service("services_database_url", service)

    def service_apply_url(self, service: str) -> str:
        """The DSN of one service as banyan_apply, in the same way. Raises SettingsError."""
        return self._of_service("services_apply_database_url", service)

    def service_control_url(self, service: str) -> str:
        """The DSN of one service as banyan_control, in the same way. Raises SettingsError."""
        return self._of_service("services_control_database_url", service)

    def _of_service(self, name: str, service: str) -> str:
        return os.environ.get(f"{name.upper()}_{service.upper()}") or self.need_secret(name)

    def service_url(self, service: str) -> str:
        """The base URL of one service. Raises SettingsError."""
        if service not in self.service_urls:
            raise SettingsError(
                [f"SERVICE_URL_{service.upper()} is not set, and this process needs it"]
            )
        return self.service_urls[service]

    def need(self, name: str) -> str:
        """A setting that this process cannot do without; SettingsError names it when it is missing."""
        value = getattr(self, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
        if not text:
            raise SettingsError([f"{name.upper()} is not set, and this process needs it"])
        return text

    def need_secret(self, name: str) -> str:
        """`need`, with a name that says at the call that the value must not be shown."""
        return self.need(name)

    def need_keyring(self, name: str) -> Keyring:
        """`need`, for keys by id."""
        return read_keyring(self.need_secret(name))

    def known_vendors(self) -> VendorKeys:
        """Nobody, where none are set: then no signature is right."""
        return (
            read_vendor_keys(self.need_secret("vendor_keys")) if self.vendor_keys else VendorKeys()
        )

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (
            init_settings,
            env_settings,
            ServiceUrls(settings_cls, os.environ, SERVICES),
            SecretFiles(settings_cls, os.environ),
            YamlConfigSettingsSource(settings_cls, yaml_file=_config_file()),
        )


def _config_file() -> Path:
    return Path(os.environ.get("BANYAN_CONFIG", CONFIG_FILE))


def secret_names() -> frozenset[str]:
    """Names of the settings whose values must never be shown."""
    return frozenset(
        name
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    )


def load(**explicit: Any) -> Settings:
    """Read and check the configuration. Raises SettingsError with one sentence per problem, no value shown."""
    config = _config_file()
    if "BANYAN_CONFIG" in os.environ and not config.is_file():
        raise SettingsError([f"BANYAN_CONFIG names {config}, and there is no such file"])
    if config.is_file():
        in_yaml = YamlConfigSettingsSource(Settings, yaml_file=config)()
        leaked = sorted(secret_names() & set(in_yaml))
        if leaked:
            raise SettingsError(
                [f"{name} is a secret and may not stand in {config}" for name in leaked]
            )
    try:
        return Settings(**explicit)
    except ValidationError as error:
        raise SettingsError([_sentence(problem) for problem in error.errors()]) from None


def _sentence(problem: Any) -> str:
    """Pydantic's own text would show the input; location and message do not."""
    where = ".".join(str(part) for part in problem["loc"]).upper() or "settings"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}"


def inherited_environment() -> dict[str, str]:
    """The environment that a child process starts with (sandbox launchers add the engines' URLs to it)."""
    return dict(os.environ)
