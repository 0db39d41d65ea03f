"""Fixtures over a whole running sandbox: started once for all tests that ask for it, with a few patients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.world import sandbox
from runtime.stack import Stack

SCALE = 60


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sandbox's state, logs and data are."""
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="session")
def world(world_folder: Path) -> Iterator[Stack]:
    """A sandbox as `banyan up` starts it. Who changes its flags or rows puts them back, or takes a gateway of its own."""
    with sandbox(world_folder, scale=SCALE) as stack:
        yield stack
