"""`Claim`: one measured sentence."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Claim:
    """`value` in `unit` against `target` (a sentence); `n`: of how many; `how` it was measured, so that another can repeat it."""

    topic: str
    claim: str
    value: float
    unit: str
    target: str
    ok: bool
    n: int
    how: str

    def json(self) -> dict[str, Any]:
        return asdict(self)
