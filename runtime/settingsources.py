"""Where settings come from besides plain variables and YAML; the environment is given, and read by runtime/settings.py alone."""

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from typing_extensions import override

from runtime.settingserror import SettingsError


class SecretFiles(PydanticBaseSettingsSource):
    """`NAME_FILE=/path`: the value of NAME is that file's content without the last newline."""

    def __init__(self, settings_cls: type[BaseSettings], environment: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._environment = environment

    @override
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = self._environment.get(f"{field_name.upper()}_FILE")
        return (read_secret(Path(path)) if path else None), field_name, False

    @override
    def __call__(self) -> dict[str, Any]:
        found = {}
        for name, field in self.settings_cls.model_fields.items():
            value, _, _ = self.get_field_value(field, name)
            if value is not None:
                found[name] = value
        return found


class ServiceUrls(PydanticBaseSettingsSource):
    """`SERVICE_URL_<SERVICE>=...`, for platforms where a JSON object in a variable is a nuisance."""

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        environment: Mapping[str, str],
        services: Sequence[str],
    ) -> None:
        super().__init__(settings_cls)
        self._environment = environment
        self._services = services

    @override
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    @override
    def __call__(self) -> dict[str, Any]:
        urls = {
            name: self._environment.get(f"SERVICE_URL_{name.upper()}") for name in self._services
        }
        found = {name: url for name, url in urls.items() if url}
        return {"service_urls": found} if found else {}


def read_secret(path: Path) -> str:
    """Content of a secret file without its last newline. Raises SettingsError if others could read it, too."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"{path} cannot be read ({error.strerror})"]) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError([f"{path} is open to group or others: chmod 600 {path}"])
    return text.removesuffix("\n")
