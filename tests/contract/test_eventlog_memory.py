"""The event log in memory keeps the contract, in virtual time."""

import asyncio
from datetime import UTC, datetime

import pytest

from runtime.eventlog.memory import MemoryConsumer, MemoryLog
from runtime.eventlog.protocol import Consumer, EventLog
from tests.contract.eventlog_contract import EventLogContract
from tests.fakes.clock import Clock

pytestmark = pytest.mark.contract

STEP_SECONDS = 0.25


class MemoryWorld:
    """Time moves when a test says so, and by a step whenever the log waits."""

    def __init__(self) -> None:
        self.clock = Clock(1_800_000_000.0)
        self.memory = MemoryLog(clock=self.clock, sleep=self.sleep)
        self.log: EventLog = self.memory

    async def sleep(self, seconds: float) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        self.clock.now += seconds

    async def another(self) -> EventLog:
        return self.log

    async def moment(self) -> datetime:
        self.clock.now += STEP_SECONDS
        return datetime.fromtimestamp(self.clock.now, UTC)

    async def look_after_leases(self, consumer: Consumer) -> None:
        assert isinstance(consumer, MemoryConsumer)
        consumer._tend()

    async def suspend(self, consumer: Consumer) -> None:
        assert isinstance(consumer, MemoryConsumer)
        consumer.crash()

    async def let_leases_run_out(self) -> None:
        self.clock.now += self.memory.lease_seconds


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld()


class TestMemoryLog(EventLogContract):
    """All of it."""
