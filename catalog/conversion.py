"""Named pairs of functions that turn a legacy value into the new model's and back.

Each pair has a Python and an SQL form that give the same result and refuse the same values (a test holds them together
on PostgreSQL), so that rows can be converted in a process, and hashed or compared inside the databases. Null stays
null without being asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any


class ConversionError(ValueError):
    """A value has no counterpart. The text names the rule, never the value."""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """`{0}` in the SQL forms stands for the expression that is converted."""

    name: str
    convert: Callable[[Any], Any]
    invert: Callable[[Any], Any]
    convert_sql: str
    invert_sql: str


def refusal_sql(expression: str, rule: str, type_: str) -> str:
    """An SQL expression that fails with SQLSTATE 22P02 and `rule` as its text; null for null.

    It looks at the row, since PostgreSQL would work a constant out, and fail, before the first row. No value is in the
    server's message.
    """
    return f"(left({expression}::text, 0) || '{rule}')::integer::{type_}"


_LIMIT = Decimal(2**63).scaleb(-2)
# The ambient context belongs to the caller, and its precision rounds in silence. Comparisons are exact in any.
_EXACT = Context(prec=40)
_NO_MINOR_UNITS = "an amount is not a whole number of minor units"


def _to_minor(amount: Decimal) -> int:
    if amount.is_finite() and -_LIMIT <= amount < _LIMIT:
        minor = int(amount.scaleb(2, _EXACT))
        if _to_amount(minor) == amount:
            return minor
    raise ConversionError(_NO_MINOR_UNITS)


def _to_amount(minor: int) -> Decimal:
    return Decimal(minor).scaleb(-2, _EXACT)


MINOR_UNITS = Conversion(
    name="minor units",
    convert=_to_minor,
    invert=_to_amount,
    # NaN is above every number, so it is refused with what does not fit.
    convert_sql=(
        "case when {0} * 100 = trunc({0} * 100) and {0} * 100 between -9223372036854775808 and 9223372036854775807"
        f" then ({{0}} * 100)::bigint else {refusal_sql('{0}', _NO_MINOR_UNITS, 'bigint')} end"
    ),
    invert_sql="{0} * 0.01",
)
"""numeric with two places <-> integer hundredths (pence, cents), so that sums are exact everywhere."""
