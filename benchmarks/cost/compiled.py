"""The compiled forms that are measured: the product's own, and the same modules with the bare proxy among them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from runtime.compiled.build import BuildFailed, build
from runtime.compiled.modules import FOLDER, MODULES, ROOT

BARE_BUILDS: Final[Path] = ROOT / ".cache" / "cost" / "compiled"
BARE_MODULES: Final = (*MODULES, "benchmarks.cost.passing")


@cache
def missing() -> str:
    """Makes the product's. Why that cannot be done here, or nothing."""
    return _missing(FOLDER, MODULES)


@cache
def bare_missing() -> str:
    """Makes the other one. Why that cannot be done here, or nothing."""
    return _missing(BARE_BUILDS, BARE_MODULES)


def _missing(folder: Path, modules: Sequence[str]) -> str:
    try:
        build(folder, modules)
    except BuildFailed as error:
        return str(error).splitlines()[-1]
    return ""
