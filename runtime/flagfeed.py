"""`FlagFeed`: the newest flag snapshot in this process's memory (runtime.documentfeed), and the kill switch beside it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import orjson
from typing_extensions import override

from runtime.documentfeed import DocumentFeed
from runtime.flagset import FlagSetInvalid, read_flag_set
from runtime.flagsnapshot import Snapshot, read_snapshot
from runtime.flagstore import PLACE
from runtime.settings import Settings

KILL_SWITCH_SECONDS: Final = 0.2


class FlagFeed(DocumentFeed[Snapshot]):
    """To begin with there is the file that came with the release."""

    def __init__(
        self,
        *,
        redis_url: str | None,
        flags_file: Path,
        snapshot_file: Path,
        kill_switch_file: Path,
        poll_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        on_death: Callable[[BaseException], None] | None = None,
        before: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        super().__init__(
            name="flags",
            place=PLACE,
            invalid=FlagSetInvalid,
            redis_url=redis_url,
            snapshot_file=snapshot_file,
            poll_seconds=poll_seconds,
            clock=clock,
            on_death=on_death,
            before=before,
        )
        self._flags_file = flags_file
        self._kill_switch_file = kill_switch_file
        self._kill_switch = False

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        on_death: Callable[[BaseException], None] | None = None,
        before: Callable[[], Awaitable[object]] | None = None,
    ) -> "FlagFeed":
        """The feed that a process with these settings has."""
        secret = settings.redis_url
        return cls(
            redis_url=secret.get_secret_value() if secret else None,
            flags_file=settings.flags_file,
            snapshot_file=settings.flags_snapshot_file,
            kill_switch_file=settings.kill_switch_file,
            poll_seconds=settings.flags_poll_seconds,
            on_death=on_death,
            before=before,
        )

    @override
    def read(self, wire: bytes) -> Snapshot:
        return read_snapshot(wire, kill_switch=self._kill_switch)

    @override
    def first(self) -> Snapshot:
        """From the release's file, which must be good then."""
        flag_set = read_flag_set(orjson.loads(self._flags_file.read_bytes()), strict=True)
        return Snapshot(flag_set, kill_switch=self._kill_switch)

    @override
    async def start(self) -> None:
        """Raises FlagSetInvalid or OSError if neither the disk nor the release's file holds a snapshot."""
        self._kill_switch = self._kill_switch_file.exists()
        await super().start()
        self._spawn(self._watch_kill_switch(), "kill_switch")

    async def _watch_kill_switch(self) -> None:
        while True:
            on = self._kill_switch_file.exists()
            if on != self._kill_switch:
                self._kill_switch = on
                self.current = self.current.with_kill_switch(on)
                self._log.warning("flags.kill_switch", state="on" if on else "off")
            await asyncio.sleep(KILL_SWITCH_SECONDS)
