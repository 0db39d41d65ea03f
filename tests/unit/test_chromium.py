"""Which browser is taken, and what is said when there is none."""

import os
import shutil
from pathlib import Path

import pytest

from tests import chromium, npm

pytestmark = pytest.mark.unit


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose PATH holds what is put there by name, with the exit code of each."""
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.setattr(shutil, "which", lambda name: _path(tmp_path / name))
    monkeypatch.setattr(npm, "FOLDER", tmp_path / "packages")
    chromium.find.cache_clear()
    npm.install.cache_clear()

    def put(name: str, code: int = 0) -> str:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho 'npm error code E{code}' >&2\nexit {code}\n")
        program.chmod(0o755)
        return str(program)

    yield put
    chromium.find.cache_clear()
    npm.install.cache_clear()


def _path(program: Path) -> str | None:
    return str(program) if program.exists() else None


def test_named_browser_goes_before_the_systems(machine, monkeypatch):
    machine("chromium")
    monkeypatch.setenv("BROWSER_PATH", machine("mine"))
    assert chromium.find().path.endswith("/mine")


def test_named_browser_that_does_not_start_is_not_replaced(machine, monkeypatch):
    machine("chromium")
    monkeypatch.setenv("BROWSER_PATH", machine("mine", code=1))
    with pytest.raises(chromium.NoChromium, match="mine does not start"):
        chromium.find()


def test_systems_browser_is_taken(machine):
    path = machine("chromium")
    assert chromium.find() == chromium.Chromium(path=path, arguments=chromium.ARGUMENTS)


def test_no_browser_says_what_was_looked_for(machine):
    with pytest.raises(chromium.NoChromium, match=r"no BROWSER_PATH, no chromium.*no.* npm"):
        chromium.find()


def test_failed_installation_names_npms_own_reason(machine, tmp_path):
    machine("node")
    machine("npm", code=7)
    lock = tmp_path / "packages" / "package-lock.json"
    lock.parent.mkdir()
    lock.touch()
    with pytest.raises(npm.NpmUnavailable, match="npm error code E7"):
        npm.install()
