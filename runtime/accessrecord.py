"""What a line of the PHI access record may say (phi-rules section 3): a closed schema, and the tag that stands for a row.

Every field is a word of a list, a number, or matches a pattern that no name, date or search value fits.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final

from catalog import assets
from catalog.stage import Side, Stage

NONE: Final = "none"
"""Where a request has no entity, resource, route, stage, side or address."""
ANONYMOUS: Final = "anonymous"
"""`sub` and `role` of whoever proved nothing."""
MACHINE: Final = "machine"
"""`role` of a worker."""
OTHER: Final = "other"
"""`role` of a token whose own word does not have the form of one, and `method` of what is none."""

ACTIONS = frozenset("read create update delete search export login admin".split())
PURPOSES = frozenset("treatment operations shadow mirror fhir repair export break_glass".split())
OUTCOMES = frozenset("success denied failed unknown".split())
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER})
SIDES = frozenset({*Side, "both", "gateway", NONE})
STAGES = frozenset({*Stage, NONE})

_TAG_BYTES = 16
_BLOCK = hashlib.sha256().block_size
_ROLE = re.compile(r"[a-z][a-z_]{0,31}", re.ASCII)

Check = Callable[[Any], bool]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One member of a record. `holds` says whether a value may stand there."""

    name: str
    holds: Check
    required: bool = True


def resource_tag(key: bytes, entity: str, row_id: str) -> str:
    """What stands for one row, 128 bits of HMAC-SHA256 in hex: the same row has the same tag, and without the key it leads
    nowhere.

    The parts carry their lengths (phi-rules section 4); `row_id` is the canonical key as `routes.key.write_key` writes it.
    """
    name, row = entity.encode(), row_id.encode()
    parts = len(name).to_bytes(4) + name + len(row).to_bytes(4) + row
    started_inner, started_outer = _keyed(key)
    inner, outer = started_inner.copy(), started_outer.copy()
    inner.update(parts)
    outer.update(inner.digest())
    return outer.digest()[:_TAG_BYTES].hex()


@lru_cache(maxsize=4)
def _keyed(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """HMAC's two hashes with the key already in them (RFC 2104): `hmac.digest` costs twice as much as all the rest here."""
    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    return (
        hashlib.sha256(bytes(byte ^ 0x36 for byte in block)),
        hashlib.sha256(bytes(byte ^ 0x5C for byte in block)),
    )


def many(count: int) -> str:
    """The `resource` of a list."""
    return f"many:{count}"


def role_word(role: str) -> str:
    """A token's application role as a record may hold it."""
    return role if _ROLE.fullmatch(role) else OTHER


def problems(line: bytes) -> list[str]:
    """What is wrong with a record, by field, never by value. Empty: nothing."""
    try:
        members = json.loads(line, object_pairs_hook=_Members, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return ["not JSON"]
    if not isinstance(members, _Members):
        return ["not an object"]
    names = [name for name, _ in members]
    found = [f"{name}: twice" for name in FIELDS if names.count(name) > 1]
    # Whose names they are is unknown: one could be a value.
    found += ["unknown field" for name in names if name not in FIELDS]
    values = dict(members)
    for field in FIELDS.values():
        if field.name not in values:
            found += [f"{field.name}: missing"] if field.required else []
        elif not field.holds(values[field.name]):
            found.append(f"{field.name}: not allowed")
    return found


class _Members(list[tuple[str, Any]]):
    """A JSON object as it was written, repetitions included."""


def _refuse(word: str) -> None:
    raise ValueError


def _one_of(words: frozenset[str]) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _like(pattern: str) -> Check:
    fits = re.compile(pattern, re.ASCII).fullmatch
    return lambda value: isinstance(value, str) and fits(value) is not None


def _address(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return value == NONE or bool(ip_address(value))
    except ValueError:
        return False


def _whole(least: int, most: int) -> Check:
    return lambda value: type(value) is int and least <= value <= most


def _milliseconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 86_400_000


_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SEGMENT = r"/(v\d|[a-z][a-z_.-]{0,40}|\{[a-z_]{1,20}\})"

FIELDS = {
    field.name: field
    for field in (
        Field(name="ts", holds=_like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")),
        Field(name="correlation_id", holds=_like(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")),
        Field(name="client_id_rejected", holds=lambda value: value is True, required=False),
        Field(name="sub", holds=_like(rf"{_UUID}|{ANONYMOUS}|banyan\.[a-z_]{{1,32}}")),
        Field(name="role", holds=_like(_ROLE.pattern)),
        Field(name="purpose", holds=_one_of(PURPOSES)),
        Field(name="resource", holds=_like(rf"[0-9a-f]{{{2 * _TAG_BYTES}}}|many:\d{{1,9}}|{NONE}")),
        Field(name="source_ip", holds=_address),
        Field(name="flag_version", holds=_whole(0, 2**63 - 1)),
        Field(name="duration_ms", holds=_milliseconds),
        Field(name="action", holds=_one_of(ACTIONS)),
        Field(name="entity", holds=_one_of(frozenset({*assets(), NONE}))),
        Field(name="outcome", holds=_one_of(OUTCOMES)),
        Field(name="status", holds=_whole(200, 599)),
        Field(name="stage", holds=_one_of(STAGES)),
        Field(name="side", holds=_one_of(SIDES)),
        Field(name="route", holds=_like(rf"({_SEGMENT}){{1,6}}|ofrep|{NONE}")),
        Field(name="method", holds=_one_of(METHODS)),
        Field(name="code", holds=_like(r"[a-z][a-z_]{0,39}"), required=False),
    )
}
"""The whole schema, in the order in which records are written."""
