"""What PostgreSQL says about a write, as a refusal that names the field. Pure; its sentences, which hold values, are never used."""

import asyncpg

from routes.constraint import refused_field
from routes.problem import FieldError
from routes.refused import Conflict, Fenced, Forbidden, InvalidFields, Refused
from routes.resource import Resource

_STALE_EPOCH = "BY001"
_CLOSED = "25006"


def refusal(resource: Resource, error: asyncpg.PostgresError) -> Refused | None:
    """None for what is no fault of the write: the database's own trouble."""
    match error:
        case asyncpg.UniqueViolationError() | asyncpg.ExclusionViolationError():
            return Conflict([_field(resource, error)])
        case asyncpg.ForeignKeyViolationError():
            return InvalidFields([_field(resource, error)])
        case asyncpg.RestrictViolationError():
            return Conflict([FieldError(field="row", code="others_refer_to_it")])
        case asyncpg.CheckViolationError():
            return InvalidFields([_field(resource, error)])
        case asyncpg.NotNullViolationError():
            return InvalidFields([_named(resource, error)])
        case asyncpg.DataError():
            return InvalidFields([FieldError(field="row", code="not_allowed")])
        case asyncpg.InsufficientPrivilegeError():
            return Forbidden()
    return Fenced() if error.sqlstate in (_STALE_EPOCH, _CLOSED) else None


def is_own_key(resource: Resource, error: asyncpg.UniqueViolationError) -> bool:
    """Whether the row's own key was in the way: a row of this key is there already."""
    return str(error.constraint_name or "") == f"{resource.asset.target}_pkey"


def _field(resource: Resource, error: asyncpg.PostgresError) -> FieldError:
    return refused_field(resource, str(getattr(error, "constraint_name", None) or ""))


def _named(resource: Resource, error: asyncpg.PostgresError) -> FieldError:
    column = str(getattr(error, "column_name", None) or "")
    field = column if column in resource.asset.by_target else "row"
    return FieldError(field=field, code="required")
