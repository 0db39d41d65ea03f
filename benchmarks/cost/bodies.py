"""What the upstream answers: lists of lab orders of an exact size, as a service says them and as PostgREST does. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from routes import resources
from routes.example import example

RESOURCE = next(resource for resource in resources() if resource.entity == "lab_orders")
_LEGACY_WORDS = {"status": "sent_to_vendor", "price_minor": 100.01}
"""Under their v2 names, because the gateway asks PostgREST to rename; the values are legacy's."""
_SERVICE_WORDS = {"status": "sent", "price_minor": 10001}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`limit` is what the request asks for, and so how the upstream knows which answer is meant."""

    name: str
    limit: int
    rows: int
    bytes: int

    @property
    def target(self) -> str:
        return f"/v2{RESOURCE.path}?limit={self.limit}"

    @property
    def service(self) -> str:
        return _padded(lambda filler: _service_list(self.rows, filler), self.bytes)

    @property
    def legacy(self) -> str:
        """The rows of `service`, so that the gateway's answer is the same whoever gave it."""
        filler = json.loads(self.service)["items"][0]["result_summary"]
        return _dump([_row(n, filler, _LEGACY_WORDS) for n in range(self.rows)])


SMALL = Answer(name="1 KB", limit=20, rows=1, bytes=966)
LARGE = Answer(name="20 KB", limit=50, rows=28, bytes=20_480)
ANSWERS = (SMALL, LARGE)


def _service_list(rows: int, filler: str) -> str:
    return _dump({"items": [_row(n, filler, _SERVICE_WORDS) for n in range(rows)], "next": None})


def _row(number: int, filler: str, words: dict[str, Any]) -> dict[str, Any]:
    row = example(RESOURCE, staff=False) | words
    row["id"] = f"0190b1a2-0000-7000-8000-{number:012x}"
    return row | {"result_summary": filler if number == 0 else "unremarkable"}


def _padded(make: Any, size: int) -> str:
    missing = size - len(make(""))
    if missing < 0:
        raise ValueError(f"{-missing} bytes too many rows for {size} bytes")
    text: str = make("x" * missing)
    return text


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
