"""`Revocations`: who is let in no more although the token is good: users, sessions and single tokens. Immutable.

By what the claims say, never by a token's text: padding or another signature over the same claims is another text.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

LARGEST_DOCUMENT: Final = 4 * 1024 * 1024
"""About 80,000 entries."""


class Kind(StrEnum):
    """What a revocation names, by the claim that carries it."""

    SUB = "sub"
    SESSION = "session"
    JTI = "jti"


class RevocationsInvalid(Exception):
    """Not a list of revocations; the message says why and holds nothing of it."""


@dataclass(frozen=True, kw_only=True)
class Revocations:
    """One version of the list. `store` is the database that counts the versions, empty for none."""

    store: str = ""
    version: int = 0
    subs: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    jtis: frozenset[str] = frozenset()

    def cover(self, *, sub: str, session_id: str, jti: str) -> bool:
        """Whether somebody with these claims is let in no more."""
        return sub in self.subs or session_id in self.sessions or jti in self.jtis

    @property
    def size(self) -> int:
        return len(self.subs) + len(self.sessions) + len(self.jtis)


def read_revocations(wire: bytes) -> Revocations:
    """The list that `write_revocations` wrote. Raises RevocationsInvalid, whatever the bytes are."""
    if len(wire) > LARGEST_DOCUMENT:
        raise RevocationsInvalid(f"a list of more than {LARGEST_DOCUMENT} bytes is refused")
    try:
        found = orjson.loads(wire)
    except orjson.JSONDecodeError:
        raise RevocationsInvalid("the list is not JSON") from None
    match found:
        case {"store": str(store), "version": int(version), "document": dict(document)} if (
            type(version) is int and version >= 0
        ):
            return Revocations(
                store=store,
                version=version,
                subs=_values(document, Kind.SUB),
                sessions=_values(document, Kind.SESSION),
                jtis=_values(document, Kind.JTI),
            )
    raise RevocationsInvalid("the list must be an object with store, version and document")


def _values(document: Mapping[str, object], kind: Kind) -> frozenset[str]:
    values = document.get(kind)
    # An empty text would cover every token that lacks the claim.
    if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
        raise RevocationsInvalid(f"document.{kind} must be a list of texts")
    return frozenset(values)


def write_revocations(entries: Iterable[tuple[Kind, str]], *, version: int, store: str) -> bytes:
    """What travels to the processes and lies on their disks."""
    document: dict[str, list[str]] = {kind.value: [] for kind in Kind}
    for kind, value in entries:
        document[kind.value].append(value)
    return orjson.dumps({"store": store, "version": version, "document": document})
