"""The row that a body asks for, checked and complete, in the new model's words and as JSON values. Pure.

Gateway and services read bodies by it, so a write means the same whichever side takes it. Every member is looked at:
one that is not understood is named, and nothing is ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from catalog.column import Column, Kept, Merge, Type
from routes.key import Key
from routes.lifecycle import Fill
from routes.merge_patch import merge
from routes.problem import FieldError
from routes.refused import Forbidden, InvalidFields
from routes.resource import Resource
from routes.value import ValueRefused, canonical

Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Who writes, and when (RFC 3339). `partner_id` is empty for whoever belongs to none."""

    sub: str
    partner_id: str
    staff: bool
    now: str


def created(
    resource: Resource, body: Mapping[str, Any], writer: Writer, key: Key | None, parent: str | None
) -> Values:
    """A new row's values. `key` is None where the authority numbers the row; `parent` is the key in a nested path.

    Raises InvalidFields for all refused members at once, Forbidden for a row that belongs to a partner if the writer
    has none.
    """
    create = resource.writes.create
    assert create is not None  # noqa: S101 - asked for where there is POST only
    errors = _unknown(resource, body, create.named, writer)
    errors += [
        FieldError(field=name, code="required")
        for name in create.required
        if body.get(name) is None
    ]
    values: Values = {**create.defaults, **create.fixed}
    values |= _fills(create.fills, writer, key)
    values |= _checked(resource, {n: v for n, v in body.items() if n in create.named}, errors)
    for lifecycle in resource.lifecycles:
        if values.get(lifecycle.column) not in lifecycle.start:
            errors.append(FieldError(field=lifecycle.column, code="no_state_to_begin_in"))
    if errors:
        raise InvalidFields(errors)
    if key is not None:
        values |= dict(zip(resource.asset.key, key, strict=True))
    if parent is not None:
        values[resource.parent_column] = parent
    return _entered(resource, values, {}, writer)


def needs_current(resource: Resource, patch: Mapping[str, Any]) -> bool:
    """Whether the patch says something about the inside of a value, so that the value must be known."""
    return any(
        isinstance(value, dict) and (column := resource.asset.by_target.get(name)) is not None
        and column.type is Type.JSONB
        for name, value in patch.items()
    )  # fmt: skip


def changed(
    resource: Resource, patch: Mapping[str, Any], current: Mapping[str, Any], writer: Writer
) -> Values:
    """The new values of the columns that a merge patch (RFC 7396) touches, with what a new state fills in.

    `current` holds at least the columns inside of which something changes, and the lifecycles' own where that is known.
    Raises InvalidFields.
    """
    errors = _unknown(resource, patch, resource.writes.change, writer)
    if not patch:
        errors.append(FieldError(field="body", code="expected_a_member"))
    merged = {
        name: merge(current.get(name), value)
        for name, value in patch.items()
        if name in resource.writes.change
    }
    values = _checked(resource, merged, errors)
    if errors:
        raise InvalidFields(errors)
    return _entered(resource, values, current, writer)


def _entered(
    resource: Resource, values: Values, current: Mapping[str, Any], writer: Writer
) -> Values:
    """With what the states fill in that the row comes into."""
    filled = dict(values)
    for lifecycle in resource.lifecycles:
        state = values.get(lifecycle.column)
        if state is None or state == current.get(lifecycle.column):
            continue
        for name, value in _fills(lifecycle.fills.get(state, {}), writer, None).items():
            if filled.get(name) is None:
                filled[name] = value
    return filled


def _fills(fills: Mapping[str, Fill], writer: Writer, key: Key | None) -> Values:
    found: Values = {}
    for name, fill in fills.items():
        match fill:
            case Fill.NOW:
                found[name] = writer.now
            case Fill.CALLER:
                found[name] = writer.sub
            case Fill.PARTNER:
                if not writer.partner_id:
                    raise Forbidden
                found[name] = writer.partner_id
            case Fill.KEY:
                assert key is not None  # noqa: S101 - Resource takes it for keys that are known before
                found[name] = "~".join(key)
    return found


def _unknown(
    resource: Resource, body: Mapping[str, Any], named: frozenset[str], writer: Writer
) -> list[FieldError]:
    """Members that this writer cannot name; what is for staff only does not exist for others."""
    shown = {column.target for column in resource.columns(staff=writer.staff)}
    errors = []
    for name in body:
        if name in named and (name in shown or name not in resource.asset.by_target):
            continue
        errors.append(
            FieldError(field=printable(name), code="not_writable" if name in shown else "unknown_field")
        )  # fmt: skip
    return errors


def printable(name: str) -> str:
    """A member's name as it may stand in an answer: cut, and without what no terminal should see."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in name[:64])


def _checked(resource: Resource, members: Mapping[str, Any], errors: list[FieldError]) -> Values:
    """The members' canonical values; what is refused goes to `errors`."""
    values: Values = {}
    for name, value in members.items():
        column = resource.asset.by_target[name]
        try:
            values[name] = checked_value(column, value)
        except ValueRefused as refused:
            errors.append(FieldError(field=name, code=refused.code))
    return values


def checked_value(column: Kept, value: Any) -> Any:
    """The canonical JSON value of a caller's for this column. Raises ValueRefused."""
    if value is None:
        if not column.nullable:
            raise ValueRefused("expected_a_value")
        return None
    if isinstance(column, Merge):
        return _parts(column, value)
    if column.type is Type.JSONB:
        return value
    if column.type is Type.TEXT_ARRAY:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ValueRefused("expected_texts")
        return value
    if column.type is Type.BOOLEAN:
        if not isinstance(value, bool):
            raise ValueRefused("expected_true_or_false")
        return value
    found = _number(column, value) if column.type in _NUMBERS else _text(column, value)
    _bound(column, found)
    return found


def _bound(column: Column, value: int | Decimal | str) -> None:
    """What one of the two sides could not hold, or would change."""
    if isinstance(value, str):
        if column.length is not None and len(value) != column.length:
            raise ValueRefused("wrong_length")
        return
    if column.least is not None and value < column.least:
        raise ValueRefused("below_the_least")
    if column.most is not None and value > column.most:
        raise ValueRefused("above_the_most")
    if column.places is not None and round(value, column.places) != value:
        raise ValueRefused("too_many_places")


_NUMBERS = {
    Type.SMALLINT: "expected_integer",
    Type.INTEGER: "expected_integer",
    Type.BIGINT: "expected_integer",
    Type.NUMERIC: "expected_number",
    Type.REAL: "expected_number",
}
_LARGEST_REAL = Decimal("3.4e38")


def _number(column: Column, value: Any) -> int | Decimal:
    refused = ValueRefused(_NUMBERS[column.type])
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise refused
    if column.type is Type.REAL:
        if abs(Decimal(value)) > _LARGEST_REAL:
            raise refused
        return value
    if column.type is Type.NUMERIC:
        return Decimal(canonical(column, f"{Decimal(value):f}"))
    # 3.0 is a whole number to JSON; as text it is none to PostgreSQL.
    if value != int(value):
        raise refused
    return int(canonical(column, str(int(value))))


def _text(column: Column, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueRefused("expected_text")
    return canonical(column, value)


def _parts(column: Merge, value: Any) -> dict[str, str | None] | None:
    """All parts, in the catalog's order; an object without any is no value."""
    if not isinstance(value, dict) or not value.keys() <= set(column.parts):
        raise ValueRefused("expected_" + "_".join(column.parts))
    if not all(part is None or isinstance(part, str) for part in value.values()):
        raise ValueRefused("expected_texts")
    parts = {part: value.get(part) for part in column.parts}
    return parts if any(part is not None for part in parts.values()) else None
