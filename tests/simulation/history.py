"""`History`: everything that was written, acknowledged, brought over and read, as the checks know it. No rule of the code reads it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from catalog.stage import Side
from migration.version import Version
from routes.key import Key


@dataclass(frozen=True, kw_only=True)
class Violation:
    """`kind` is a word of tests/simulation/checks.py."""

    kind: str
    detail: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Op:
    """A request of a user, however often it is repeated. Its number is the content that it writes."""

    number: int
    user: str
    kind: str
    """`create`, `change` or `delete`."""
    key: Key
    derived: bool = False
    """A create whose key follows from its idempotency key."""
    if_match: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Written:
    """A version that a user's transaction has committed."""

    number: int
    op: Op
    key: Key
    side: Side
    version: Version
    deleted: bool
    parents: tuple["Written", ...]

    @property
    def pair(self) -> object:
        return self.version.pair

    def __str__(self) -> str:
        mark = "†" if self.deleted else ""
        version = self.version
        stamp = version.updated_at.strftime("%M:%S.%f")
        return f"v{self.number}{mark} {self.key[-1]}#{version.row_version}@{stamp}/{version.origin} by op {self.op.number}"


@dataclass(kw_only=True)
class History:
    """Of one world."""

    written: list[Written] = field(default_factory=list)
    by_correlation: dict[str, Written] = field(default_factory=dict)
    acked: dict[int, Written] = field(default_factory=dict)
    """By op."""
    order: list[tuple[Written, Written]] = field(default_factory=list)
    """Two acknowledged writes of one user and key: the later one began after the earlier one's acknowledgement."""
    effects: dict[int, list[Written]] = field(default_factory=dict)
    """By op, in the order of their commits."""
    brought: dict[tuple[Side, str], int] = field(default_factory=dict)
    """How often a version was applied to a side."""
    announced: dict[str, None] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    reads: int = 0
    conflicts: int = 0
    lines: list[str] | None = None
    """The trace, if one is wanted."""
    clock: Callable[[], float] = lambda: 0.0

    @property
    def now(self) -> float:
        return self.clock()

    def note(self, who: str, text: str) -> None:
        if self.lines is not None:
            self.lines.append(f"{self.now:9.3f}  {who:10} {text}")

    def violated(self, kind: str, detail: str) -> None:
        self.violations.append(Violation(kind=kind, detail=detail, at=self.now))
        self.note("!!", f"{kind}: {detail}")

    def committed(
        self, op: Op, side: Side, version: Version, bases: Iterable[Version], *, deleted: bool
    ) -> Written:
        parents = tuple(self.of(base) for base in bases)
        one = Written(
            number=len(self.written) + 1,
            op=op,
            key=op.key,
            side=side,
            version=version,
            deleted=deleted,
            parents=parents,
        )
        self.written.append(one)
        self.by_correlation[str(version.correlation_id)] = one
        self.effects.setdefault(op.number, []).append(one)
        self.note(side.value, f"{op.user} commits {one}")
        return one

    def of(self, version: Version) -> Written:
        return self.by_correlation[str(version.correlation_id)]

    def of_key(self, key: Key) -> Sequence[Written]:
        return [one for one in self.written if one.key == key]


def line_of(*versions: Written) -> set[int]:
    """The numbers of versions, and of all that they were built on."""
    found: set[int] = set()
    ahead = list(versions)
    while ahead:
        one = ahead.pop()
        if one.number not in found:
            found.add(one.number)
            ahead.extend(one.parents)
    return found
