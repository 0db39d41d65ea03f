"""The compiled forms that are measured: the product's own, and the same modules with the bare proxy among them."""

from functools import cache
from pathlib import Path
from typing import Final

from runtime.compiled.build import BuildFailed, build
from runtime.compiled.modules import MODULES, ROOT

BARE_BUILDS: Final[Path] = ROOT / ".cache" / "cost" / "compiled"
BARE_MODULES: Final = (*MODULES, "benchmarks.cost.passing")


@cache
def missing() -> str:
    """Makes both. Why that cannot be done here, or nothing."""
    try:
        build()
        build(BARE_BUILDS, BARE_MODULES)
    except BuildFailed as error:
        return str(error).splitlines()[-1]
    return ""
