"""The Prefer header, and what `Preference-Applied` says of it.

Stand-in, not PostgREST, never for production.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sandbox.supabase.errors import RestError

_WORDS = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "return": ("representation", "minimal", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "tx": ("commit", "rollback"),
    "missing": ("default", "null"),
    "handling": ("strict", "lenient"),
}


@dataclass(frozen=True, kw_only=True)
class Prefer:
    """The first of each preference counts. `tx` is read but never obeyed, as a server without db-tx-end does."""

    resolution: str | None = None
    returning: str | None = None
    count: str | None = None
    missing: str | None = None
    handling: str | None = None
    timezone: str | None = None
    max_affected: int | None = None
    unknown: tuple[str, ...] = ()

    @property
    def strict(self) -> bool:
        return self.handling == "strict"

    def refuse_unknown(self) -> None:
        """Raises PGRST122 where `handling=strict` meets a preference that nobody knows."""
        if self.strict and self.unknown:
            raise RestError(
                "PGRST122",
                "Invalid preferences given with handling=strict",
                details=f"Invalid preferences: {', '.join(self.unknown)}",
            )

    def applied(self, what: Literal["read", "insert", "update", "delete", "put", "call"]) -> str:
        """The value of Preference-Applied, '' for none. The order of the words is fixed."""
        said: list[tuple[str, object]] = []
        if what == "insert":
            said.append(("resolution", self.resolution))
        if what in ("insert", "update"):
            said.append(("missing", self.missing))
        if what not in ("read", "call"):
            said.append(("return", self.returning))
        said += [("count", self.count), ("handling", self.handling), ("timezone", self.timezone)]
        if what in ("update", "delete", "call") and self.strict:
            said.append(("max-affected", self.max_affected))
        return ", ".join(f"{name}={value}" for name, value in said if value is not None)


def parse(headers: Iterable[str]) -> Prefer:
    """Every Prefer header line of a request, in order."""
    given = [part.strip() for line in headers for part in line.split(",")]
    first: dict[str, str] = {}
    unknown = []
    for part in given:
        name, _, value = part.partition("=")
        if value in _WORDS.get(name, ()) or name in ("timezone", "max-affected"):
            first.setdefault(name, value)
        else:
            unknown.append(part)
    affected = first.get("max-affected", "")
    return Prefer(
        resolution=first.get("resolution"),
        returning=first.get("return"),
        count=first.get("count"),
        missing=first.get("missing"),
        handling=first.get("handling"),
        timezone=first.get("timezone"),
        max_affected=int(affected) if affected.isdecimal() else None,
        unknown=tuple(unknown),
    )
