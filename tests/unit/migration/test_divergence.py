"""What a try that did not succeed leads to."""

import math

import pytest

from migration.converge import Outcome, Result
from migration.divergence import LONGEST_WAIT_SECONDS, POISON_TRIES, State, judged, wait_seconds

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("outcome", "detail", "attempts", "state"),
    [
        (Outcome.WAITING, "23503", 1000, State.WAITING),
        (Outcome.PARKED, "", 1000, State.PARKED),
        (Outcome.RETRY, "08006", 1000, State.RETRYING),
        (Outcome.FENCED, "", 1000, State.RETRYING),
        (Outcome.POISON, "23514", POISON_TRIES - 1, State.RETRYING),
        (Outcome.POISON, "23514", POISON_TRIES, State.QUARANTINED),
        (Outcome.POISON, "status: a word outside the vocabulary", 1, State.QUARANTINED),
    ],
)
def test_states(outcome: Outcome, detail: str, attempts: int, state: State) -> None:
    failure = judged(Result(outcome=outcome, detail=detail), attempts)
    assert failure.state is state
    assert failure.reason == (detail or outcome.value)
    assert (failure.seconds == math.inf) is (state is State.QUARANTINED)


def test_waits_double_up_to_a_limit() -> None:
    waits = [wait_seconds(n) for n in range(1, 2000)]
    assert waits[:4] == [0.25, 0.5, 1, 2]
    assert max(waits) == waits[-1] == LONGEST_WAIT_SECONDS
