"""`use`: before the first of the modules is imported, whether they come compiled or as they are written."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from typing_extensions import override

from runtime.compiled.modules import FOLDER, MODULES, build_name, library_suffix


class Form(StrEnum):
    """What a process runs."""

    PLAIN = "plain"
    COMPILED = "compiled"


class NotCompiled(Exception):
    """There is no compiled form of these sources for this interpreter: `make compiled` makes it."""


def use(wish: str, folder: Path = FOLDER, modules: Sequence[str] = MODULES) -> Form:
    """Take the compiled modules (`compiled`), not (`plain`), or if there are any (`auto`): all of them or none.

    A build of other sources, of another interpreter or machine does not count. Raises NotCompiled for `compiled` where
    there is none, RuntimeError where a module has been imported already.
    """
    early = sorted(set(modules) & sys.modules.keys())
    if early:
        raise RuntimeError(f"imported before its form was chosen: {', '.join(early)}")
    if wish == Form.PLAIN:
        return Form.PLAIN
    files = compiled_files(folder / build_name(modules))
    if files:
        sys.meta_path.insert(0, _Finder(files))
        return Form.COMPILED
    if wish == Form.COMPILED:
        raise NotCompiled
    return Form.PLAIN


def form_of(module: ModuleType) -> Form:
    """What an imported module of MODULES really is."""
    compiled = str(module.__file__).endswith(library_suffix())
    return Form.COMPILED if compiled else Form.PLAIN


def compiled_files(build: Path) -> Mapping[str, Path]:
    """The library of each module of a build, that of the group included; nothing where there is no build."""
    suffix = library_suffix()
    return {
        ".".join(file.relative_to(build).parts).removesuffix(suffix): file
        for file in build.rglob(f"*{suffix}")
    }


class _Finder(MetaPathFinder):
    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        if file is None:
            return None
        return spec_from_file_location(
            fullname, file, loader=ExtensionFileLoader(fullname, str(file))
        )
