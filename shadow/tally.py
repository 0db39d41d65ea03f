"""`Tally`: pairs of one route, counted as they come, for a verdict; and `Counted`, what a tally needs of one pair."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from shadow.difference import Kind
from shadow.pair import Comparison, Reason, Result
from shadow.verdict import WHOLE, Counts, RouteTally


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One pair without its values. `fields`: columns that were held against each other; `kinds`: column and kind of what differed;
    `undecided`: columns of it that make no mismatch."""

    result: Result
    reason: Reason | None = None
    fields: frozenset[str] = frozenset()
    kinds: frozenset[tuple[str, Kind]] = frozenset()
    undecided: frozenset[str] = frozenset()


def counted(comparison: Comparison) -> Counted:
    found = comparison.differences
    return Counted(
        result=comparison.result,
        reason=comparison.reason,
        fields=frozenset(comparison.fields),
        kinds=frozenset((one.column.target if one.column else WHOLE, one.kind) for one in found),
        undecided=frozenset(one.column.target for one in found if one.column and not one.decides),
    )


class Tally:
    """Counts only: no value of any row."""

    def __init__(self) -> None:
        self.pairs = 0
        self.mismatches = 0
        self.visibility = 0
        self.inconclusive: Counter[str] = Counter()
        self.compared: Counter[str] = Counter()
        """Pairs in which a column was held against the other side's at least once."""
        self.wrong: Counter[str] = Counter()
        """Pairs in which it differed at least once."""
        self.kinds: Counter[tuple[str, Kind]] = Counter()
        self._undecided: set[str] = set()

    def add(self, pair: Counted) -> None:
        if pair.result is Result.INCONCLUSIVE:
            self.inconclusive[str(pair.reason)] += 1
            return
        self.pairs += 1
        self.compared.update([WHOLE, *pair.fields])
        self.mismatches += pair.result is Result.MISMATCH
        self._undecided |= pair.undecided
        self.visibility += any(kind is Kind.VISIBILITY for _, kind in pair.kinds)
        self.kinds.update(pair.kinds)
        self.wrong.update({name for name, _ in pair.kinds})

    def add_equal(self, fields: Iterable[str], count: int) -> None:
        """`count` pairs at once that say the same in every one of `fields`."""
        self.pairs += count
        for name in (WHOLE, *fields):
            self.compared[name] += count

    def merge(self, other: "Tally") -> None:
        """Adds what another one has counted."""
        self.pairs += other.pairs
        self.mismatches += other.mismatches
        self.visibility += other.visibility
        for mine, theirs in (
            (self.inconclusive, other.inconclusive),
            (self.compared, other.compared),
            (self.wrong, other.wrong),
        ):
            mine.update(theirs)
        self.kinds.update(other.kinds)
        self._undecided |= other._undecided

    def document(self) -> dict[str, Any]:
        """As it is stored: a JSON object, from which `of` makes an equal one."""
        return {
            "pairs": self.pairs,
            "mismatches": self.mismatches,
            "visibility": self.visibility,
            "inconclusive": dict(self.inconclusive),
            "compared": dict(self.compared),
            "wrong": dict(self.wrong),
            "kinds": [[name, kind, count] for (name, kind), count in self.kinds.items()],
            "undecided": sorted(self._undecided),
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Raises KeyError, ValueError for what `document` has not made."""
        tally = cls()
        tally.pairs = document["pairs"]
        tally.mismatches = document["mismatches"]
        tally.visibility = document["visibility"]
        tally.inconclusive.update(document["inconclusive"])
        tally.compared.update(document["compared"])
        tally.wrong.update(document["wrong"])
        tally.kinds.update({(name, Kind(kind)): count for name, kind, count in document["kinds"]})
        tally._undecided = set(document["undecided"])
        return tally

    @property
    def names(self) -> frozenset[str]:
        """Columns that were held against each other, or differed."""
        return frozenset({*self.compared, *self.wrong})

    @property
    def undecided(self) -> frozenset[str]:
        """Columns that have differed and make no mismatch, by the catalog."""
        return frozenset(self._undecided)

    def counts(self, name: str, noise: "Tally") -> Counts:
        """Of one column, or of WHOLE."""
        return Counts(
            # A difference of a column that no row of the primary had was compared all the same.
            pairs=max(self.compared[name], self.wrong[name]),
            wrong=self.wrong[name],
            noise_pairs=noise.compared[name],
            noise_wrong=noise.wrong[name],
        )

    def route(
        self, *, noise: "Tally | None" = None, ignored: Iterable[str] = frozenset()
    ) -> RouteTally:
        """For the verdict. `noise`: what legacy against itself said; `ignored`: columns that do not decide."""
        quiet = noise or Tally()
        names = self.names - {*ignored, *self._undecided}
        fields = {name: self.counts(name, quiet) for name in names}
        return RouteTally(
            pairs=Counts(
                pairs=self.pairs, wrong=self.mismatches, noise_pairs=quiet.pairs,
                noise_wrong=quiet.mismatches,
            ),
            fields=fields,
            visibility=self.visibility,
            inconclusive=dict(self.inconclusive),
        )  # fmt: skip
