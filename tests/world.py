"""Fixtures over whole running sandboxes: each started once for all tests that ask for it, with a few patients."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.world import sandbox
from benchmarks.writes.edge_world import lease
from runtime.stack import Stack

SCALE = 60
SEEDED_SUBMISSION = "/submissions?order=created_at&limit=1"
"""Asks for one that both sides have, whatever tests have made since."""


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sandbox's state, logs and data are."""
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="session")
def world(world_folder: Path) -> Iterator[Stack]:
    """A sandbox as `banyan up` starts it. Who changes its flags puts them back; who writes rows takes the next one."""
    with sandbox(world_folder, scale=SCALE) as stack:
        yield stack


@pytest.fixture(scope="session")
def written_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`world_folder` of the next one."""
    return tmp_path_factory.mktemp("written")


@pytest.fixture(scope="session")
def written_world(written_folder: Path) -> Iterator[Stack]:
    """A sandbox for whoever writes, with numbers for the rows that services make. What is written stays in it."""
    with sandbox(written_folder, scale=SCALE) as stack:
        asyncio.run(lease(stack))
        yield stack
