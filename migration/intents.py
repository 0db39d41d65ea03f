"""`OpenIntent`: an announced write that is not settled, and when it is (data-rules 3.5). Pure, but for the store's protocol.

The worker's memory is its table (control.intents), not the process: what it takes from the stream is there before the stream is
acknowledged. So a process that dies, or loses a partition, leaves nothing behind that another one would have to guess.

    outcome known        a converge that starts now sees all that the write did: its success settles
    outcome unknown, or  the write may still come: a converge that starts now settles nothing, however much it finds. One that
    none yet             starts after the grace time does, because by then the write has ended in any case
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from routes.key import Key
from runtime.intent import Closed, Intent, Outcome

CLAIM_SECONDS = 5.0
"""Whoever was given an intent is left alone with it for so long; then it is due again."""


@dataclass(frozen=True, kw_only=True)
class OpenIntent:
    """As the store held it at one moment."""

    intent: Intent
    partition: int
    """Of the mirror stream: whoever holds it works on the intent."""
    brought: Key | None
    """The key that the outcome brought, where the authority numbers the row."""
    outcome: Outcome | None
    ended: bool
    """The grace time was over at that moment."""

    @property
    def key(self) -> Key | None:
        return self.intent.key or self.brought

    @property
    def settles(self) -> bool:
        """Does the success of a converge that starts after that moment settle it?"""
        return self.ended or self.outcome in (Outcome.APPLIED, Outcome.NOT_APPLIED)

    @property
    def came_to_nothing(self) -> bool:
        """There is no row, and no way to one: it was never numbered."""
        return self.key is None and self.outcome is Outcome.NOT_APPLIED


@dataclass(frozen=True, kw_only=True)
class Announced:
    """An intent, and the partition that it was read from."""

    intent: Intent
    partition: int


class IntentStore(Protocol):
    """Time is the store's own clock. Every method may raise StoreUnavailable (runtime.flagstore)."""

    async def take(
        self, announced: Sequence[Announced], closed: Sequence[Closed]
    ) -> Sequence[OpenIntent]:
        """Keeps both; answers, and gives for CLAIM_SECONDS, those whose outcome has just come.

        What is kept already stays as it is: grace time counts from the first sight. The end of an unknown intent is nothing.
        """
        ...

    async def due(self, partitions: Collection[int], most: int) -> Sequence[OpenIntent]:
        """Those whose time has come, for CLAIM_SECONDS nobody else's."""
        ...

    async def put_off(self, seconds: Mapping[str, float | None]) -> None:
        """By id, for so long; None: until the grace time is over."""
        ...

    async def remove(self, ids: Sequence[str]) -> None:
        """They are settled."""
        ...
