"""All request cases by name."""

from collections.abc import Mapping

from benchmarks.corpus import conduct, fields, framing, limits, targets
from benchmarks.corpus.case import Case

_MODULES = (framing, targets, fields, limits, conduct)


def _by_name() -> Mapping[str, Case]:
    cases = [case for module in _MODULES for case in module.CASES]
    named = {case.name: case for case in cases}
    if len(named) != len(cases):
        raise ValueError("two request cases have one name")
    return named


REQUESTS = _by_name()
