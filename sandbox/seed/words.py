"""Names and notes: ordinary ones, and those that break careless code. Every one is valid and has been seen in real forms.

AWKWARD is keyed by what it tries, so that a test can ask for each kind by name.
"""

import unicodedata
from itertools import cycle

from sandbox.seed.draw import Draw

AWKWARD = {
    "rtl": "مرحبا، الموعد غدا (room 4) שלום",
    "emoji": "Feeling better 🎉👍🏽",
    "zero_width_joiner": "Seen by 👩🏽\u200d⚕️ and 👨\u200d👩\u200d👧",
    "nfc": unicodedata.normalize("NFC", "café naïve Ångström"),
    "nfd": unicodedata.normalize("NFD", "café naïve Ångström"),
    "nbsp": "10\u00a0mg twice\u00a0daily",
    "zero_width_space": "split\u200bhere",
    "quotes": "She said \"it's 'fine'\" “truly” ‘so’ `ok`",
    "backslash": "C:\\forms\\new\\table \\u0041 \\",
    "comma": "Smith, Jr., MD, (retired), [b], {c}",
    "percent": "100% sure, 5%20 less, %s %(x)d %%",
    "newline": "line one\nline two\r\nline three\n\n\tindented",
    "sql": "Robert'); drop table submissions;-- /* */ $1 $$",
    "html": "<script>alert(1)</script> &amp; &lt;b&gt;",
    "url": "a=b&c=d?e#f+g/h;i@j:k~l*m!",
    "json": '{"a": [null, true, 1e3], "b": "\\""}',
    "null_word": "null",
    "empty": "",
    "blanks": "  two before, two behind  ",
    "number_word": "007",
    "date_word": "2024-02-30T25:61:00Z",
    "astral": "𝒜𝓃𝓃𝒶 𠜎 𝟙𝟚𝟛",
    "line_separator": "one\u2028two\u2029three",
    "control": "bell\u0007unit\u001fend",
    "byte_order_mark": "\ufeffstarts with a mark",
    "stacked_marks": "Z̸̢͎a̷͝l̶͠g̴̈́o̵",
    "cjk": "予約の変更をお願いします。",
    "turkish": "İstanbul ıslak",
    "sharp_s": "Straße STRASSE ẞ",
}

NAMES = (
    *(("Ann", "Sample"), ("John", "Test"), ("Mary Jane", "Specimen-Smith"), ("Lee", "Mock")),
    *(("Zoë", "Nuñez"), ("Łukasz", "Żółć"), ("Σωκράτης", "Παπαδόπουλος"), ("Оле́на", "Кузьме́нко")),
    *(("نور", "الهدى"), ("שרה", "כהן"), ("花子", "山田"), ("지우", "김"), ("अनन्या", "शर्मा")),
    *(("Seán", "O'Brien"), ("D’Arcy", "de la Cruz y Vega"), ("Jean-Luc", "Fictif"), ("X Æ", "")),
    *(("Björk", "Guðmundsdóttir"), ("Ng", "Ng"), ("Müller", "von und zu Probe"), ("Null", "Null")),
    *(
        (unicodedata.normalize("NFD", "Renée"), unicodedata.normalize("NFD", "Müller")),
        ("Bo", 'Q"uote'),
    ),
    *(("Anna\u00a0Maria", "Test"), ("Percy", "100%"), ("Ada", "Back\\slash"), ("Ида", "Образцова")),
)

_PHRASES = (
    "Prefers mornings.",
    "Please call before sending anything.",
    "Reviewed with the patient; no concerns.",
    "Sample was taken at home.",
    "Second attempt, first one failed.",
    "Follow up in two weeks.",
    "Interpreter needed.",
    "Allergic to latex, see answers.",
    "Address confirmed by phone.",
    "No change since the last visit.",
)
LONG_NOTE_BYTES = 20_000


class Writer:
    """Writes notes; awkward ones come in turn, so that even a small world holds every kind."""

    def __init__(self, seed: int) -> None:
        self._draw = Draw(seed, "words")
        self._awkward = cycle(AWKWARD.values())
        self._names = cycle(NAMES)
        self._long = [self._long_note() for _ in range(4)]
        self._written = 0

    def note(self) -> str:
        """One in four awkward, one in 150 at least 20 kB long, the others plain."""
        self._written += 1
        if self._written % 150 == 3:
            return self._draw.choice(self._long)
        if self._written % 4 == 0:
            return next(self._awkward)
        return self._plain()

    def title(self) -> str:
        """A short text that is not empty and has one line."""
        self._written += 1
        text = next(self._awkward) if self._written % 5 == 0 else self._plain()
        return " ".join(text.split()) or "untitled"

    def name(self) -> tuple[str, str]:
        """First and last name; the last one may be empty."""
        if self._draw.chance(0.5):
            return next(self._names)
        return self._draw.choice(NAMES)[0], self._draw.choice(NAMES)[1]

    def _plain(self) -> str:
        phrases = [self._draw.choice(_PHRASES) for _ in range(self._draw.integer(1, 3))]
        return " ".join(phrases)

    def _long_note(self) -> str:
        parts = [f"{next(self._awkward)} {self._plain()}"]
        while sum(len(part.encode()) for part in parts) < LONG_NOTE_BYTES:
            parts.append(
                f"{next(self._awkward)} {self._plain()}" if len(parts) % 7 == 0 else self._plain()
            )
        return "\n".join(parts)
