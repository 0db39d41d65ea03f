"""Which form of the data plane a gateway process runs, and that this run tests the form that it says."""

import sys
from pathlib import Path

import httpx
import pytest

from benchmarks.corpus.under_test import under_test
from gateway import call
from runtime.compiled.form import Form, form_of
from tests.compiled_form import FORM

pytestmark = pytest.mark.stack


def test_the_processes_of_this_run_have_its_form(tmp_path: Path) -> None:
    with under_test(tmp_path, "http://127.0.0.1:9") as gateway:
        page = httpx.get(f"http://{gateway.host}:{gateway.port}/metrics").text
        assert f"banyan_compiled {float(FORM is Form.COMPILED)}" in page
    assert form_of(sys.modules[call.__name__]) is FORM
