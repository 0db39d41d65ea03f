"""What the pipeline needs, put together once by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.metrics import Metrics
from gateway.read import Reader
from runtime.flagfeed import FlagFeed
from runtime.identity import Verifier
from runtime.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Deps:
    """`clock` is monotonic seconds."""

    settings: Settings
    verifier: Verifier
    flags: FlagFeed
    reader: Reader
    metrics: Metrics
    cursor_key: bytes
    openapi: bytes
    clock: Callable[[], float]
