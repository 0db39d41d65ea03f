"""`python -m runtime.compiled.build`: makes the compiled form of the sources that are here. Needs mypy, setuptools, a C compiler.

Exit codes: 0 it is there, 1 it could not be made. Processes that run keep what they have; the next ones take the new form.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from runtime.compiled.form import compiled_files
from runtime.compiled.modules import FOLDER, GROUP, MODULES, ROOT, build_name, path_of

_MYPY = ("--config-file=", "--ignore-missing-imports", "--follow-imports=silent")
_LAST_LINES = 20
_UNFINISHED = ".new-"
"""Of a build that was killed, if it is there while nobody builds."""


class BuildFailed(Exception):
    """mypyc or the C compiler refused; the message says what they said."""


def build(folder: Path = FOLDER, modules: Sequence[str] = MODULES) -> Path:
    """The folder of the build, made unless it is there. Takes minutes of CPU; one at a time, the others wait for it.

    Raises BuildFailed.
    """
    made = folder / build_name(modules)
    if compiled_files(made):
        return made
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # goes with the process, however that ends
        if not compiled_files(made):
            _make(made, modules)
        for old in folder.iterdir():
            if old.name.startswith(_UNFINISHED) or (old != made and compiled_files(old)):
                shutil.rmtree(old, ignore_errors=True)
    return made


def _make(made: Path, modules: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(dir=made.parent, prefix=_UNFINISHED) as scratch:
        new = Path(scratch) / "build"
        _compile(modules, new, Path(scratch) / "c")
        missing = {*modules, f"{GROUP}__mypyc"} - compiled_files(new).keys()
        if missing:
            raise BuildFailed(f"not made: {', '.join(sorted(missing))}")
        if build_name(modules) != made.name:
            raise BuildFailed("the sources changed while they were compiled: once more")
        new.rename(made)  # whole or not at all


def _compile(modules: Sequence[str], new: Path, scratch: Path) -> None:
    """In a process of its own: mypyc takes relative paths only, prints, and ends the process when it refuses."""
    arguments = ["--compile", str(new), str(scratch), *modules]
    command = [sys.executable, "-m", "runtime.compiled.build", *arguments]
    done = subprocess.run(  # noqa: S603 - our own module
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if "warning:" not in line]
        raise BuildFailed("\n".join(lines[-_LAST_LINES:]))


def _run_mypyc(new: Path, scratch: Path, modules: Sequence[str]) -> None:
    from mypyc.build import mypycify  # only here, and only where it is installed
    from setuptools import Distribution  # type: ignore[import-untyped]

    extensions = mypycify(
        [*_MYPY, *(str(path_of(module)) for module in modules)],
        opt_level="3",
        group_name=GROUP,
        target_dir=str(scratch),
    )
    command = Distribution({"name": GROUP, "ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(new), str(scratch / "objects")
    command.parallel = os.cpu_count()
    command.ensure_finalized()
    command.run()


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--compile"]:
        _run_mypyc(Path(arguments[1]), Path(arguments[2]), arguments[3:])
        return 0
    sys.stderr.write(f"compiling {len(MODULES)} modules of the data plane (a minute or two) ...\n")
    try:
        made = build()
    except BuildFailed as error:
        sys.stderr.write(f"{error}\nThe data plane was not compiled; it runs as plain Python.\n")
        return 1
    sys.stderr.write(f"compiled: {made.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
