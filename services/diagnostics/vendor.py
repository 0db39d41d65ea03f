"""What a laboratory's words mean for an order: which state, and which ways lead there. Pure.

Laboratories skip states and repeat themselves, and their messages overtake each other: an order only ever goes forward.
"""

from collections.abc import Mapping, Sequence

STATES: Mapping[str, str] = {
    "accepted": "sent",
    "registered": "sent",
    "collected": "collected",
    "received": "collected",
    "processing": "in_progress",
    "partial": "in_progress",
    "final": "resulted",
    "corrected": "resulted",
    "rejected": "failed",
    "failed": "failed",
    "cancelled": "cancelled",
}
"""By the vendor's word."""

_RANK = {
    state: rank
    for rank, state in enumerate(("draft", "ordered", "sent", "collected", "in_progress"))
}
_LAST = len(_RANK)
"""The rank of every other state: behind it nothing goes forward."""


def way_forward(
    ways: Mapping[str, Sequence[str]], before: str, after: str
) -> tuple[str, ...] | None:
    """The states that an order goes through from `before` to `after`, the last one included; empty if it is there.

    None where no legal way leads forward, or where it is open which one was taken: of several, the shortest counts, and it
    must be the only one of its length.
    """
    found: list[tuple[str, ...]] = [()]
    while found:
        arrived = [path for path in found if (path[-1] if path else before) == after]
        if arrived:
            return arrived[0] if len(arrived) == 1 else None
        found = [
            (*path, step)
            for path in found
            for step in ways[path[-1] if path else before]
            if _rank(step) > _rank(path[-1] if path else before)
        ]
    return None


def _rank(state: str) -> int:
    return _RANK.get(state, _LAST)
