"""Percent-encoding in paths and queries, strictly. Pure.

The standard decoder leaves a broken escape as it stands, so two readers of one URL may see two values.
"""

import re
from urllib.parse import unquote_to_bytes

from routes.value import ValueRefused

_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def decode(part: bytes) -> str:
    """The text of a percent-encoded part. Raises ValueRefused."""
    if _BROKEN.search(part):
        raise ValueRefused("broken_percent_escape")
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise ValueRefused("not_utf8") from None
    if "\x00" in text:
        raise ValueRefused("nul_byte")
    return text
