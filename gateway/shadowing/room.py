"""`Room`: how many pairs are under way at once, and how many bytes are kept for them."""

from collections.abc import Callable
from typing import Final

from gateway.shadowing.pair import Pair

MOST_BYTES: Final = 32 * 1024 * 1024


class Room:
    """`most` pairs. `refused` is told for want of what, in a word, a pair was not taken."""

    def __init__(self, most: int, refused: Callable[[str], None]) -> None:
        self._most = most
        self._refused = refused
        self.pairs = 0
        self.bytes = 0

    def take(self, pair: Pair) -> bool:
        """Whoever was taken leaves again."""
        if self.pairs >= self._most:
            self._refused("in_flight")
        elif self.bytes + pair.held > MOST_BYTES:
            self._refused("memory")
        else:
            self.pairs += 1
            self.bytes += pair.held
            return True
        return False

    def keep(self, pair: Pair, size: int) -> None:
        """More is kept for a pair that was taken."""
        pair.held += size
        self.bytes += size

    def leave(self, pair: Pair) -> None:
        self.pairs -= 1
        self.bytes -= pair.held
        pair.held = 0
