"""What a database's constraint says about a written row: which field, and a stable word. Pure.

PostgreSQL names a constraint after its table and columns unless somebody named it; such a name says enough. The rest
is in `Resource.rules`. Nothing but the name is ever looked at: a database's sentence holds values.
"""

from routes.problem import FieldError
from routes.resource import Resource

_WORDS = {"fkey": "does_not_exist", "key": "taken", "pkey": "taken", "check": "not_allowed"}


def refused_field(resource: Resource, constraint: str) -> FieldError:
    """The field that a constraint of either side's table names; `row` where no single one can be told."""
    named = resource.rules.get(constraint)
    if named is not None:
        return named
    asset = resource.asset
    subject, _, kind = constraint.rpartition("_")
    code = _WORDS.get(kind, "not_allowed")
    if kind == "pkey":
        return FieldError(field="+".join(asset.key), code=code)
    for column in asset.kept:
        theirs = {f"{asset.entity}_{source}" for source in column.sources}
        if subject in {*theirs, f"{asset.target}_{column.target}"} and column.public:
            return FieldError(field=column.target, code=code)
    return FieldError(field="row", code=code)
