"""Written v2 rows in legacy's words, and legacy's refusals in v2's. Pure."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from catalog.asset import Asset
from catalog.column import Column, Merge
from catalog.transform import preimage
from routes.constraint import refused_field
from routes.problem import FieldError
from routes.refused import Conflict, Fenced, Forbidden, InvalidFields, Refused
from routes.resource import Resource
from routes.written import Values


def legacy_values(asset: Asset, values: Values) -> dict[str, Any]:
    """JSON values by legacy column, of checked v2 values; columns that are not named stay unnamed."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        column = asset.by_target[name]
        if isinstance(column, Merge):
            parts = value or {}
            for part, source in zip(column.parts, column.sources, strict=True):
                found[source] = parts.get(part)
        else:
            found[column.source] = _legacy_value(column, value)
    return found


def _legacy_value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.values:
        return preimage(column, value)[0]
    if column.convert:
        inverted: Decimal = column.convert.invert(value)
        return inverted
    return value


class LegacyRefusal:
    """What PostgREST answered instead of a row: the SQLSTATE, or its own code, and the constraint's name.

    Of the sentence nothing else is ever used: it holds values.
    """

    __slots__ = ("code", "column", "constraint")

    def __init__(self, body: bytes) -> None:
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError:
            found = None
        message = _text(found, "message")
        self.code = _text(found, "code")
        self.constraint = _named(_CONSTRAINT, message)
        self.column = _named(_COLUMN, message)

    @property
    def spoken(self) -> bool:
        """PostgREST itself has refused, so its transaction was rolled back."""
        return _CODE.fullmatch(self.code) is not None

    @property
    def trouble(self) -> str:
        """The problem code of what is no fault of the write, where the SQLSTATE says more than the status; empty otherwise."""
        return _TROUBLES.get(self.code, "")

    def is_own_key(self, asset: Asset) -> bool:
        """A row of this key is there already."""
        return self.code == "23505" and self.constraint == f"{asset.entity}_pkey"

    def refusal(self, resource: Resource, *, removing: bool) -> Refused | None:
        """None for what is no fault of the write."""
        match self.code:
            case "23505" | "23P01":
                return Conflict([refused_field(resource, self.constraint)])
            case "23503" if removing:
                return Conflict([FieldError(field="row", code="others_refer_to_it")])
            case "23503" | "23514":
                return InvalidFields([refused_field(resource, self.constraint)])
            case "23502":
                return InvalidFields([FieldError(field=self._target(resource), code="required")])
            case "42501":
                return Forbidden()
            case "25006":
                return Fenced()
        if self.code[:2] in ("22", "23") or self.code == "P0001":
            return InvalidFields([FieldError(field="row", code="not_allowed")])
        return None

    def _target(self, resource: Resource) -> str:
        for column in resource.asset.kept:
            if self.column in column.sources and column.public:
                return column.target
        return "row"


_TROUBLES = {"53100": "storage_full", "57014": "upstream_timeout"}
_CODE = re.compile(r"[0-9A-Z]{5}|PGRST[0-9A-Z]{1,5}", re.ASCII)
_CONSTRAINT = re.compile(r'constraint "([A-Za-z0-9_]{1,63})"', re.ASCII)
_COLUMN = re.compile(r'null value in column "([A-Za-z0-9_]{1,63})"', re.ASCII)


def _text(found: Any, name: str) -> str:
    value = found.get(name) if isinstance(found, Mapping) else None
    return value if isinstance(value, str) else ""


def _named(pattern: re.Pattern[str], message: str) -> str:
    match = pattern.search(message)
    return match[1] if match else ""
