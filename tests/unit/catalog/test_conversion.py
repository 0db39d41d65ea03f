"""Amounts in minor units: exact or refused, whatever decimal context the caller works in."""

from decimal import Decimal, localcontext

import pytest

from catalog.conversion import MINOR_UNITS, ConversionError, refusal_sql

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("amount", "minor"),
    [
        ("0", 0),
        ("-0.00", 0),
        ("12.5", 1250),
        ("12.50", 1250),
        ("12.5000", 1250),
        ("1E+3", 100_000),
        ("-0.01", -1),
        ("92233720368547758.07", 2**63 - 1),
        ("-92233720368547758.08", -(2**63)),
    ],
)
def test_amount_and_minor_units(amount, minor):
    assert MINOR_UNITS.convert(Decimal(amount)) == minor
    assert MINOR_UNITS.invert(minor) == Decimal(amount)


@pytest.mark.parametrize(
    "amount",
    [
        *(
            "NaN",
            "-NaN",
            "sNaN",
            "Infinity",
            "-Infinity",
            "0.001",
            "12.505",
            "1E-999999",
            "1E+999999",
        ),
        *("92233720368547758.08", "-92233720368547758.09", f"1.{'0' * 60}1"),
    ],
)
def test_no_amount(amount):
    with pytest.raises(ConversionError, match=r"^an amount is not a whole number of minor units$"):
        MINOR_UNITS.convert(Decimal(amount))


@pytest.mark.parametrize("precision", [1, 5, 100])
def test_the_callers_context_changes_nothing(precision):
    with localcontext(prec=precision):
        assert MINOR_UNITS.convert(Decimal("9999999999.99")) == 999_999_999_999
        assert MINOR_UNITS.invert(999_999_999_999) == Decimal("9999999999.99")
        with pytest.raises(ConversionError):
            MINOR_UNITS.convert(Decimal("9999999999.995"))


def test_every_bigint_has_an_amount():
    for minor in (-(2**63), -1, 0, 7, 2**63 - 1):
        assert MINOR_UNITS.convert(MINOR_UNITS.invert(minor)) == minor


def test_a_refusal_in_sql_names_its_rule():
    assert (
        refusal_sql("x", "no such word", "text")
        == "(left(x::text, 0) || 'no such word')::integer::text"
    )
