"""docs/settings.md, written from the model: `python -m tests.settings_page` after a change of runtime/settings.py."""

from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from runtime.settings import SERVICES, Settings, secret_names

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

INTRODUCTION = f"""\
# Settings

Every setting of every process, written from `runtime/settings.py` by `python -m tests.settings_page`; a test holds
the two together.

A value comes from the first of these that has one: the environment variable `NAME`, the file that `NAME_FILE` names,
`config/banyan.yaml` (lower-case names; another file: `BANYAN_CONFIG`), the default. A secret never stands in the YAML
file, and its `NAME_FILE` may be readable by its owner only. `banyan config check` says what is wrong, without values.

Four settings have a form per service, for {", ".join(f"`{name.upper()}`" for name in SERVICES)}:
`SERVICE_URL_<SERVICE>` sets one entry of `SERVICE_URLS`; `SERVICES_DATABASE_URL_<SERVICE>`, `SERVICES_APPLY_DATABASE_URL_<SERVICE>` and
`SERVICES_CONTROL_DATABASE_URL_<SERVICE>` are taken before `SERVICES_DATABASE_URL` and the other two.

| Environment variable | Type | Default | What it is |
|---|---|---|---|
"""


def render() -> str:
    """The whole page as it should be."""
    return INTRODUCTION + "".join(_row(name, field) for name, field in _fields())


def variables() -> frozenset[str]:
    """Every environment variable that a process reads."""
    names = {name.upper() for name, _ in _fields()}
    files = {f"{name}_FILE" for name in names}
    per_service = {
        f"{prefix}_{service.upper()}"
        for prefix in (
            "SERVICE_URL",
            "SERVICES_DATABASE_URL",
            "SERVICES_APPLY_DATABASE_URL",
            "SERVICES_CONTROL_DATABASE_URL",
        )
        for service in SERVICES
    }
    return frozenset(names | files | per_service | {"BANYAN_CONFIG"})


def _fields() -> list[tuple[str, FieldInfo]]:
    """Those that stand in `Settings` itself first."""
    own = Settings.__annotations__
    return sorted(Settings.model_fields.items(), key=lambda item: item[0] not in own)


def _row(name: str, field: FieldInfo) -> str:
    what = (field.description or "").replace("<", r"\<")  # Markdown would take <ref> for a tag
    cells = (f"`{name.upper()}`", _type(name, field), _default(field), what)
    escaped = [cell.replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |\n"


def _type(name: str, field: FieldInfo) -> str:
    if name in secret_names():
        return "secret"
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    if kinds and all(isinstance(kind, str) for kind in kinds):
        return "one of " + ", ".join(f"`{kind}`" for kind in kinds)
    return _TYPES[_plain(field.annotation, kinds)]


def _plain(annotation: Any, kinds: list[Any]) -> Any:
    origin = getattr(annotation, "__origin__", None)
    if origin in (dict, tuple):
        return origin
    return kinds[0] if kinds else annotation


_TYPES: dict[Any, str] = {
    bool: "true or false",
    dict: "JSON object",
    float: "number",
    int: "whole number",
    Path: "path",
    SecretStr: "secret",
    str: "text",
    tuple: "list, comma separated",
}


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ((), {}, ""):
        return "none"
    return f"`{', '.join(value) if isinstance(value, tuple) else value}`"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
