"""`RevocationFeed`: the newest list of revocations in this process's memory (runtime.documentfeed).

While the store is down the last list holds. A process that starts without Redis and without a list on its disk begins
with an empty one: nobody is signed out for it, and `source` and `staleness_seconds` show it.
"""

import time
from collections.abc import Callable
from pathlib import Path

from typing_extensions import override

from runtime.documentfeed import DocumentFeed
from runtime.revocations import Revocations, RevocationsInvalid, read_revocations
from runtime.revocationstore import PLACE
from runtime.settings import Settings


class RevocationFeed(DocumentFeed[Revocations]):
    """What a Verifier takes as `revoked`."""

    def __init__(
        self,
        *,
        redis_url: str | None,
        snapshot_file: Path,
        poll_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        on_death: Callable[[BaseException], None] | None = None,
    ) -> None:
        super().__init__(
            name="revocations",
            place=PLACE,
            invalid=RevocationsInvalid,
            redis_url=redis_url,
            snapshot_file=snapshot_file,
            poll_seconds=poll_seconds,
            clock=clock,
            on_death=on_death,
        )
        self.current = self.first()

    @classmethod
    def of(
        cls, settings: Settings, *, on_death: Callable[[BaseException], None] | None = None
    ) -> "RevocationFeed":
        """The feed that a process with these settings has; its copy on disk lies beside the flags'."""
        secret = settings.redis_url
        flags = settings.flags_snapshot_file
        return cls(
            redis_url=secret.get_secret_value() if secret else None,
            snapshot_file=flags.with_name(f"{flags.stem}.revocations{flags.suffix}"),
            poll_seconds=settings.flags_poll_seconds,
            on_death=on_death,
        )

    @override
    def read(self, wire: bytes) -> Revocations:
        return read_revocations(wire)

    @override
    def first(self) -> Revocations:
        return Revocations()
