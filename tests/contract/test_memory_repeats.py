"""The fake of flow tests and of the simulator keeps the promises of the real store."""

import time

import pytest

from tests.contract.repeat_store_contract import RepeatStoreContract
from tests.fakes.memory_repeats import MemoryRepeats

pytestmark = pytest.mark.contract


class TestMemoryRepeats(RepeatStoreContract):
    @pytest.fixture
    def store(self) -> MemoryRepeats:
        return MemoryRepeats(time.monotonic)
