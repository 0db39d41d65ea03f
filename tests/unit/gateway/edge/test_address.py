"""However an address is written, it is one text, and one that the PHI access record takes."""

import pytest

from gateway.edge.address import canonical

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("patient 7", None),
        ("192.0.2.700", None),
        ("\xe9", None),
    ],
)
def test_one_spelling(text: str, address: str | None) -> None:
    assert canonical(text) == address
