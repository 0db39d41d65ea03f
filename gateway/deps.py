"""What a call needs, put together once by the composition root."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.alarm import Alarm
from gateway.limits import Limits
from gateway.metrics import Metrics
from gateway.operation_write import OperationWrites
from gateway.overload import Overload
from gateway.pins import Pins
from gateway.plans import Plans
from gateway.read import Reader
from gateway.row_write import RowWrites
from gateway.shadowing.reads import ShadowReads
from gateway.tally import Tally
from gateway.user import User
from runtime.accesslog import AccessLog
from runtime.flagsnapshot import Snapshot
from runtime.settings import Settings
from runtime.upstream.upstream import Upstream


class Verifies(Protocol):
    """runtime.identity.Verifier, as far as it is needed here."""

    def remembered(self, token: bytes) -> User | None: ...

    async def verify(self, token: bytes) -> User: ...


class Flags(Protocol):
    """runtime.flagfeed.FlagFeed, as far as it is needed here."""

    current: Snapshot

    @property
    def source(self) -> str: ...

    @property
    def staleness_seconds(self) -> float: ...


@dataclass(kw_only=True)
class Running:
    """What changes while the process runs."""

    calls: set[object] = field(default_factory=set)
    """Requests that are being answered."""
    writes: set[asyncio.Task[object]] = field(default_factory=set)
    """What is finished even if nobody waits for it any more."""
    draining: bool = False
    """The process was asked to stop."""


@dataclass(frozen=True, kw_only=True)
class Deps:
    """`clock` is monotonic seconds; `record_key` tags row ids in the PHI access record."""

    settings: Settings
    verifier: Verifies
    flags: Flags
    reader: Reader
    services: dict[str, Upstream]
    """Who owns a resource, by the resource's path."""
    writes: RowWrites | None = None
    """None: this process takes no writes."""
    operations: OperationWrites | None = None
    shadows: ShadowReads | None = None
    """None: no read is compared."""
    pins: Pins = field(default_factory=Pins)
    plans: Plans = field(default_factory=Plans)
    limits: Limits
    overload: Overload
    records: AccessLog
    metrics: Metrics
    tally: Tally
    alarm: Alarm
    cursor_key: bytes
    record_key: bytes
    openapi: bytes
    clock: Callable[[], float]
    running: Running = field(default_factory=Running)
