"""The stand-in's own settings. Environment variables begin with LEGACY_STANDIN_.

Apart from `runtime.settings`, because the stand-in is no part of the product.

Stand-in, not PostgREST, never for production.
"""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class StandinSettings(BaseSettings):
    """Where the database is, where keys and files are kept, and what is switched on."""

    model_config = SettingsConfigDict(env_prefix="LEGACY_STANDIN_", frozen=True, extra="ignore")

    dsn: SecretStr = Field(description="PostgreSQL as authenticator: what requests log in as")
    auth_dsn: SecretStr | None = Field(
        None, description="PostgreSQL as who may read auth.users; default: dsn as user postgres"
    )
    publishable_key: SecretStr | None = Field(
        None,
        validation_alias="LEGACY_PUBLISHABLE_KEY",
        description="The project's publishable key; default: the one in keys.json",
    )
    state: Path = Field(
        description="Folder of keys.json, passwords.json (email to password) and storage/"
    )
    base_url: str | None = Field(
        None, description="Public base URL; default: http://127.0.0.1:<port>"
    )
    schemas: Annotated[tuple[str, ...], NoDecode] = Field(
        ("public", "banyan_conformance"),
        description="Exposed schemas, the default one first; comma separated",
    )
    pool_size: int = Field(12, ge=1, description="Connections for requests")
    max_rows: int | None = Field(
        1000, ge=1, description="Rows of an answer at most, silently cut, as hosted projects do"
    )
    faults: bool = Field(
        False, description="Let /standin/faults and /standin/realtime be used (tests)"
    )

    @field_validator("schemas", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    def users_dsn(self) -> str:
        """The DSN that Auth reads auth.users with."""
        if self.auth_dsn is not None:
            return self.auth_dsn.get_secret_value()
        parts = urlsplit(self.dsn.get_secret_value())
        place = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"postgres@{place}"))
