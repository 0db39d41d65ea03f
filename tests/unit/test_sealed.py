"""Sealed values open where they belong and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.keyring import Keyring, UnknownKey
from runtime.sealed import Sealer, Tampered, sealed_with
from tests.fakes.keys import keyring

pytestmark = pytest.mark.unit

PLAIN = b'{"name": "Zoe Nunez"}'
PLACE = {"entity": "lab_orders", "key": "17", "version": "1764444444000000.service"}
SEALER = Sealer(keyring("k1"))
SEALED = SEALER.seal(PLAIN, **PLACE)

WORDS = st.text(max_size=20)


@given(st.binary(max_size=200), WORDS, WORDS, WORDS)
def test_it_opens_where_it_belongs(plain: bytes, entity: str, key: str, version: str) -> None:
    sealed = SEALER.seal(plain, entity=entity, key=key, version=version)
    assert SEALER.open(sealed, entity=entity, key=key, version=version) == plain


def test_two_rows_cannot_swap_theirs() -> None:
    mine = SEALER.seal(b"mine", entity="lab_orders", key="17", version="1")
    yours = SEALER.seal(b"yours", entity="lab_orders", key="18", version="1")
    with pytest.raises(Tampered):
        SEALER.open(yours, entity="lab_orders", key="17", version="1")
    with pytest.raises(Tampered):
        SEALER.open(mine, entity="lab_orders", key="18", version="1")


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"entity": "submissions"},
        {"key": "18"},
        {"version": "1764444444000001.service"},
        {"entity": "lab_order", "key": "s17"},
        {"key": "171", "version": PLACE["version"][1:]},
        {"key": PLACE["version"], "version": PLACE["key"]},
    ],
    ids=str,
)
def test_it_opens_nowhere_else(elsewhere: dict[str, str]) -> None:
    with pytest.raises(Tampered):
        SEALER.open(SEALED, **{**PLACE, **elsewhere})


@pytest.mark.parametrize("bit", range(len(SEALED) * 8))
def test_every_flipped_bit_is_found(bit: int) -> None:
    flipped = bytearray(SEALED)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises((Tampered, UnknownKey)):
        SEALER.open(bytes(flipped), **PLACE)


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_every_cut_is_found(length: int) -> None:
    with pytest.raises(Tampered):
        SEALER.open(SEALED[:length], **PLACE)
    with pytest.raises(Tampered):
        SEALER.open(SEALED + SEALED[:length] + b"\0", **PLACE)


@given(st.binary(max_size=80))
def test_whatever_the_bytes_are_it_says_tampered(garbage: bytes) -> None:
    with pytest.raises((Tampered, UnknownKey)):
        SEALER.open(b"\x01" + garbage, **PLACE)


def test_what_is_old_stays_readable_and_what_is_new_has_the_new_key() -> None:
    rotated = Sealer(keyring("k2", "k1"))
    assert rotated.open(SEALED, **PLACE) == PLAIN
    assert sealed_with(SEALED) == "k1"
    again = rotated.seal(PLAIN, **PLACE)
    assert sealed_with(again) == "k2"
    with pytest.raises(UnknownKey) as lost:
        SEALER.open(again, **PLACE)
    assert lost.value.key_id == "k2"


def test_another_key_id_in_front_opens_nothing() -> None:
    """Not even where two ids are one key, which a setting may not say."""
    key = keyring("k1").newest_key
    for other in (keyring("k2", "k1"), Keyring(newest="k2", keys={"k2": key, "k1": key})):
        with pytest.raises(Tampered):
            Sealer(other).open(SEALED.replace(b"k1", b"k2", 1), **PLACE)


def test_nothing_of_the_value_shows_and_no_two_are_alike() -> None:
    many = {SEALER.seal(PLAIN, **PLACE) for _ in range(200)}
    assert len(many) == 200
    assert len({sealed[4:16] for sealed in many}) == 200, "nonces"
    for sealed in many:
        assert not any(PLAIN[at : at + 6] in sealed for at in range(len(PLAIN) - 6))
    assert b"*" * 8 not in b"".join(many), "nor of the key"


def test_errors_and_reprs_show_nothing() -> None:
    with pytest.raises(Tampered) as moved:
        SEALER.open(SEALED, entity="Zoe", key="Nunez", version="1")
    assert "Zoe" not in repr(moved.value)
    assert "**" not in repr(SEALER)
