"""`Tally`: pairs of one route, counted as they come, for a verdict."""

from collections import Counter
from collections.abc import Iterable

from shadow.difference import Kind
from shadow.pair import Comparison, Result
from shadow.verdict import Counts, RouteTally

WHOLE = ""
"""In place of a column: what is of the answer as a whole (status, headers, order, its end)."""


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

    def add(self, comparison: Comparison) -> None:
        if comparison.result is Result.INCONCLUSIVE:
            self.inconclusive[str(comparison.reason)] += 1
            return
        self.pairs += 1
        self.compared.update([WHOLE, *comparison.fields])
        found = comparison.differences
        self.mismatches += comparison.result is Result.MISMATCH
        self._undecided |= {one.column.target for one in found if one.column and not one.decides}
        self.visibility += any(one.kind is Kind.VISIBILITY for one in found)
        pairs = {(one.column.target if one.column else WHOLE, one.kind) for one in found}
        self.kinds.update(pairs)
        self.wrong.update({name for name, _ in pairs})

    def route(
        self, *, noise: "Tally | None" = None, ignored: Iterable[str] = frozenset()
    ) -> RouteTally:
        """For the verdict. `noise`: what legacy against itself said; `ignored`: columns that do not decide."""
        quiet = noise or Tally()
        names = {*self.compared, *self.wrong} - {*ignored, *self._undecided}
        fields = {
            name: Counts(
                # A difference of a column that no row of the primary had was compared all the same.
                pairs=max(self.compared[name], self.wrong[name]),
                wrong=self.wrong[name],
                noise_pairs=quiet.compared[name],
                noise_wrong=quiet.wrong[name],
            )
            for name in names
        }
        return RouteTally(
            pairs=Counts(
                pairs=self.pairs, wrong=self.mismatches, noise_pairs=quiet.pairs,
                noise_wrong=quiet.mismatches,
            ),
            fields=fields,
            visibility=self.visibility,
            inconclusive=dict(self.inconclusive),
        )  # fmt: skip
