"""Keys in paths (decisions.md 12). Pure.

One column: its canonical text. Several: joined by `~`, each part percent-encoded. A part that holds a slash cannot be
addressed, because an encoded slash in a path is refused everywhere (http-rules section 1); lists find such rows.
"""

from urllib.parse import quote, unquote

from catalog.asset import Asset
from catalog.column import Column
from routes.percent import decode
from routes.value import ValueRefused, canonical

Key = tuple[str, ...]
"""Canonical texts, in the order of the asset's key columns."""


def parse_key(asset: Asset, segment: bytes) -> Key:
    """The key in a raw path segment. Raises ValueRefused."""
    parts = segment.split(b"~") if len(asset.key) > 1 else [segment]
    if len(parts) != len(asset.key):
        raise ValueRefused("expected_" + "~".join(asset.key))
    return tuple(parse_part(c, part) for c, part in zip(asset.key_columns, parts, strict=True))


def parse_part(column: Column, part: bytes) -> str:
    """The canonical text of one percent-encoded part. Raises ValueRefused."""
    return canonical(column, decode(part))


def write_key(key: Key) -> str:
    """The path segment of a key."""
    return "~".join(quote(part, safe="").replace("~", "%7E") for part in key)


def read_key(segment: str) -> Key:
    """The key that `write_key` has written, and nothing else: what comes from a caller is for `parse_key`."""
    return tuple(unquote(part) for part in segment.split("~"))
