"""`Search`: finds any of a million texts in whatever a process has left behind, in each of the spellings in which it could lie there.

Letters' cases do not matter, but in base64. Texts that are shorter than SHORTEST are not looked for: they stand everywhere.
"""

import base64
import json
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 5
_WINDOW = SHORTEST
"""Bytes by which a pattern is looked up."""

_Index = dict[bytes, dict[int, set[bytes]]]
"""Patterns by their first bytes and their length."""


class Search:
    """`patterns`: how many there are; `skipped`: texts that are too short."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._folded: _Index = {}
        self._exact: _Index = {}
        self.patterns = self.skipped = 0
        for text in texts:
            if len(text) < SHORTEST:
                self.skipped += 1
                continue
            for pattern in spellings(text):
                self._add(self._folded, pattern.lower())
            for pattern in base64_spellings(text.encode()):
                self._add(self._exact, pattern)

    def _add(self, index: _Index, pattern: bytes) -> None:
        if len(pattern) < _WINDOW:
            self.skipped += 1
            return
        found = index.setdefault(pattern[:_WINDOW], {}).setdefault(len(pattern), set())
        self.patterns += pattern not in found
        found.add(pattern)

    def hits(self, data: bytes) -> int:
        """How many places of `data` hold one of the patterns."""
        return _hits(self._folded, data.lower()) + _hits(self._exact, data)


def _hits(index: _Index, data: bytes) -> int:
    found = 0
    for at in range(len(data) - _WINDOW + 1):
        lengths = index.get(data[at : at + _WINDOW])
        if lengths is not None:
            found += any(data[at : at + length] in patterns for length, patterns in lengths.items())
    return found


def spellings(text: str) -> set[bytes]:
    """Plain, composed and decomposed, in either case, digits alone, JSON- and URL-escaped, hexadecimal, and as Python escapes it."""
    as_json = json.dumps(text)[1:-1]
    half = json.dumps(text, ensure_ascii=False)[1:-1]
    digits = "".join(one for one in text if one.isdigit())
    forms = {
        *(text, text.lower(), text.upper()),
        *(unicodedata.normalize(form, text) for form in ("NFC", "NFD")),
        *(as_json, half, json.dumps(as_json)[1:-1], json.dumps(half, ensure_ascii=False)[1:-1]),
        *(quote(text, safe=""), quote(text), quote_plus(text)),
        text.encode("unicode_escape").decode("ascii"),
        text.encode().hex(),
    }
    if len(digits) >= 10:
        forms.add(digits)
    return {form.encode() for form in forms}


def base64_spellings(data: bytes) -> Iterator[bytes]:
    """What base64 of anything around `data` holds of it, in three alignments and both alphabets."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + data)
        # The first letters hold bits of what is before, the last ones of what comes behind.
        first = -(-before * 8 // 6)
        last = (before + len(data)) * 8 // 6
        yield whole[first:last]
        yield whole[first:last].translate(_URL_SAFE)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def planted(text: str) -> dict[str, bytes]:
    """One text as each kind of writer would leave it among other things: what a search must find."""
    around = f"<{text}>"
    found = {
        "plain": around.encode(),
        "lower": around.lower().encode(),
        "upper": around.upper().encode(),
        "decomposed": unicodedata.normalize("NFD", around).encode(),
        "JSON": json.dumps({"found": text}).encode(),
        "JSON, not escaped": json.dumps({"found": text}, ensure_ascii=False).encode(),
        "JSON in JSON": json.dumps({"body": json.dumps({"found": text})}).encode(),
        "URL": f"/v2/x?q={quote(text, safe='')}&r=1".encode(),
        "URL, lower": f"/v2/x?q={quote(text, safe='').lower()}&r=1".encode(),
        "form": f"q={quote_plus(text)}&r=1".encode(),
        "hexadecimal": f"\\x{around.encode().hex()}".encode(),
        "repr": ascii(text).encode(),
    }
    for before in ("", "a", "ab"):
        data = f"{before}{text} and more".encode()
        found[f"base64 behind {len(before)}"] = b"x " + base64.b64encode(data)
        found[f"base64 of URLs behind {len(before)}"] = b"x " + base64.urlsafe_b64encode(data)
    return found
