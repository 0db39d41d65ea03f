"""The choice between the compiled form and the plain one, made in processes of their own: it is made once per process."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.compiled import build as build_module
from runtime.compiled import modules
from runtime.compiled.form import Form, compiled_files, form_of, use
from runtime.compiled.modules import GROUP, MODULES, ROOT, build_name, library_suffix, path_of

pytestmark = pytest.mark.unit


def chosen(wish: str, folder: Path, then: str = "print(form)") -> str:
    """What a new process prints that asks for a form whose builds are in `folder`."""
    code = f"""
from pathlib import Path
from runtime.compiled.form import NotCompiled, use
try:
    form = use({wish!r}, Path({str(folder)!r}))
except NotCompiled:
    print("not compiled")
else:
    {then}
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return (done.stdout or done.stderr).strip().splitlines()[-1]


def a_build(folder: Path, name: str, with_group: bool = False) -> Path:
    """A build in which every module is a file that cannot be loaded."""
    for module in (*MODULES, *([f"{GROUP}__mypyc"] if with_group else [])):
        file = folder / name / f"{path_of(module).with_suffix('')}{library_suffix()}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"no library")
    return folder / name


@pytest.mark.parametrize(
    ("wish", "found"), [("auto", "plain"), ("plain", "plain"), ("compiled", "not compiled")]
)
def test_without_a_build_there_is_the_plain_form_alone(
    tmp_path: Path, wish: str, found: str
) -> None:
    assert chosen(wish, tmp_path) == found


@pytest.mark.parametrize(
    ("wish", "found"), [("auto", "compiled"), ("plain", "plain"), ("compiled", "compiled")]
)
def test_a_build_of_these_sources_is_taken(tmp_path: Path, wish: str, found: str) -> None:
    a_build(tmp_path, build_name())
    assert chosen(wish, tmp_path) == found


def test_a_build_of_other_sources_is_none(tmp_path: Path) -> None:
    a_build(tmp_path, "0" * 32)
    assert chosen("auto", tmp_path) == "plain"
    assert chosen("compiled", tmp_path) == "not compiled"


def test_what_is_taken_is_loaded_from_the_build_and_nothing_else_is(tmp_path: Path) -> None:
    a_build(tmp_path, build_name())
    assert "ImportError" in chosen("auto", tmp_path, "import gateway.facts")
    shown = chosen("auto", tmp_path, "import catalog.stage; print(catalog.stage.__file__)")
    assert shown == str(ROOT / "catalog" / "stage.py")


def test_it_is_too_late_once_a_module_is_there() -> None:
    import gateway.facts

    assert form_of(gateway.facts) in Form
    with pytest.raises(RuntimeError, match=r"before its form was chosen: .*gateway\.facts"):
        use("plain")


def test_every_module_exists_and_knows_its_build(tmp_path: Path) -> None:
    assert [module for module in MODULES if not (ROOT / path_of(module)).is_file()] == []
    assert set(compiled_files(a_build(tmp_path, "x"))) == set(MODULES)


def test_any_change_of_any_source_is_another_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("catalog", "gateway", "routes", "runtime"):
        (tmp_path / folder / "inner").mkdir(parents=True)
        (tmp_path / folder / "inner" / "one.py").write_text("A = 1\n")
    seen = {build_name(MODULES, tmp_path)}
    assert build_name(MODULES, tmp_path) in seen
    for folder in ("catalog", "gateway", "routes", "runtime"):
        (tmp_path / folder / "inner" / "one.py").write_text("A = 2\n")
        seen.add(build_name(MODULES, tmp_path))
    (tmp_path / "gateway" / "inner" / "one.py").rename(tmp_path / "gateway" / "inner" / "two.py")
    seen.add(build_name(MODULES, tmp_path))
    monkeypatch.setattr(modules, "library_suffix", lambda: ".cpython-399-x86_64-linux-gnu.so")
    seen.add(build_name(MODULES, tmp_path))
    assert len(seen) == 7


def test_sources_that_change_while_they_are_compiled_make_no_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter(["first", "second"])
    monkeypatch.setattr(build_module, "build_name", lambda modules: next(names))
    monkeypatch.setattr(
        build_module, "_compile", lambda modules, new, scratch: a_build(new.parent, new.name, True)
    )
    with pytest.raises(build_module.BuildFailed, match="sources changed"):
        build_module.build(tmp_path)
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


def test_of_two_builds_at_once_the_second_waits_and_takes_the_first_one_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on, compiled = threading.Event(), threading.Event(), []

    def compile_(modules: object, new: Path, scratch: Path) -> None:
        compiled.append(new)
        started.set()
        assert go_on.wait(20)
        a_build(new.parent, new.name, True)

    monkeypatch.setattr(build_module, "_compile", compile_)
    a_build(tmp_path, ".new-killed/build")
    a_build(tmp_path, "of_other_sources")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(build_module.build, tmp_path)
        assert started.wait(20)
        second = pool.submit(build_module.build, tmp_path)
        go_on.set()
        assert first.result() == second.result()
    assert len(compiled) == 1
    assert {path.name for path in tmp_path.iterdir()} == {".lock", first.result().name}
