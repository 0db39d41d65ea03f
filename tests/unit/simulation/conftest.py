"""Worlds log a great deal about lost answers: nobody reads it."""

from collections.abc import Iterator

import pytest
import structlog

from tests.simulation.__main__ import silence


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    were = structlog.get_config()
    silence()
    yield
    structlog.configure(**were)
