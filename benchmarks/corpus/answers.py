"""All upstream cases by name: what a service may do wrong, and what its caller may see of it."""

from collections.abc import Mapping

from benchmarks.corpus import misconduct, misframed
from benchmarks.corpus.case import UpstreamCase

_MODULES = (misframed, misconduct)


def _by_name() -> Mapping[str, UpstreamCase]:
    cases = [case for module in _MODULES for case in module.CASES]
    named = {case.name: case for case in cases}
    if len(named) != len(cases):
        raise ValueError("two upstream cases have one name")
    return named


ANSWERS = _by_name()
