"""Whether two JSON values of a column say the same. Pure; for telling a repeat from another request, not for comparing rows."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from catalog.column import Kept, Type


def same_value(column: Kept, left: Any, right: Any) -> bool:
    """Numbers by value, instants whatever their offset, everything else as it stands."""
    if left is None or right is None:
        return left is right
    if column.type is Type.TIMESTAMPTZ and isinstance(left, str) and isinstance(right, str):
        return datetime.fromisoformat(left) == datetime.fromisoformat(right)
    if _is_number(left) and _is_number(right):
        return Decimal(left) == Decimal(right)
    return bool(left == right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)
