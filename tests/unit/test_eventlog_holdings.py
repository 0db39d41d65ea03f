"""What a member holds, what it gives back, and what it may commit."""

from datetime import UTC, datetime

import pytest

from runtime.eventlog.holdings import Holdings, Lease, dealt, per_partition, share_of
from runtime.eventlog.protocol import BEGINNING, Entry, Place, Position

pytestmark = pytest.mark.unit

T = "orders"
PATIENCE = 10.0


def entry(partition: int, position: int) -> Entry:
    return Entry(
        topic=T,
        partition=partition,
        position=Position(position),
        key=b"",
        value=b"",
        headers={},
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def leases(*numbers: int, token: bytes = b"a", committed: int = 0) -> dict[int, Lease]:
    return {number: Lease(token=token, committed=Position(committed)) for number in numbers}


def held(*numbers: int) -> Holdings:
    holdings = Holdings()
    holdings.update(T, leases(*numbers))
    return holdings


@pytest.mark.parametrize(
    ("partitions", "members", "share"), [(8, 1, 8), (8, 2, 4), (8, 3, 3), (8, 9, 1), (1, 3, 1)]
)
def test_shares_cover_every_partition(partitions: int, members: int, share: int) -> None:
    assert share_of(partitions, members) == share
    assert share * members >= partitions


def test_a_renewed_lease_goes_on_and_a_new_one_begins_at_the_committed_position() -> None:
    holdings = held(0)
    holdings.deliver([entry(0, 5)])
    holdings.update(T, leases(0, committed=2))
    assert holdings.cursor((T, 0)) == 5
    holdings.update(T, leases(0, token=b"b", committed=2))
    assert holdings.cursor((T, 0)) == 2


def test_what_the_log_does_not_name_is_lost_for_that_topic_only() -> None:
    holdings = held(0, 1)
    holdings.update("other", leases(0))
    holdings.update(T, leases(1))
    assert holdings.partitions == {(T, 1), ("other", 0)}
    holdings.drop((T, 1))
    holdings.drop((T, 1))
    assert holdings.partitions == {("other", 0)}


def test_only_what_was_delivered_under_this_lease_may_be_committed() -> None:
    holdings = held(0, 1, 2)
    holdings.deliver([entry(0, 3), entry(1, 4)])
    holdings.update(T, leases(0, 1, token=b"b") | leases(2))
    holdings.deliver([entry(1, 4)])
    done = [entry(0, 3), entry(1, 2), entry(1, 4), entry(1, 3), entry(2, 1), entry(7, 1)]
    moves, fenced = holdings.committable(done)
    assert moves == {(T, 1): 4}
    assert fenced == {(T, 0), (T, 2), (T, 7)}
    assert holdings.committable([Place(topic=T, partition=0, position=BEGINNING)])[1] == set()


def test_idle_partitions_are_given_back_first() -> None:
    holdings = held(0, 1, 2, 3)
    holdings.deliver([entry(0, 1), entry(2, 1)])
    assert holdings.surplus(T, 4, now=0, patience=PATIENCE) == []
    assert holdings.surplus(T, 2, now=0, patience=PATIENCE) == [(T, 1), (T, 3)]
    assert holdings.active(()) == [(T, 0), (T, 2)]


def test_a_busy_partition_is_polled_no_more_and_goes_behind_its_commit() -> None:
    holdings = held(0)
    holdings.deliver([entry(0, 1)])
    assert holdings.surplus(T, 0, now=0, patience=PATIENCE) == []
    assert holdings.active(()) == []
    assert holdings.surplus(T, 0, now=9.9, patience=PATIENCE) == []
    holdings.committed((T, 0), Position(1))
    assert holdings.surplus(T, 0, now=9.9, patience=PATIENCE) == [(T, 0)]


def test_a_busy_partition_goes_when_patience_ends() -> None:
    holdings = held(0)
    holdings.deliver([entry(0, 1)])
    assert holdings.surplus(T, 0, now=0, patience=PATIENCE) == []
    assert holdings.surplus(T, 0, now=PATIENCE, patience=PATIENCE) == [(T, 0)]


def test_a_partition_that_may_stay_after_all_is_polled_again() -> None:
    holdings = held(0)
    holdings.deliver([entry(0, 1)])
    holdings.surplus(T, 0, now=0, patience=PATIENCE)
    holdings.surplus(T, 1, now=1, patience=PATIENCE)
    assert holdings.active(()) == [(T, 0)]
    assert holdings.surplus(T, 0, now=PATIENCE, patience=PATIENCE) == [], "patience begins anew"


def test_every_partition_comes_first_in_turn() -> None:
    holdings = held(0, 1, 2)
    assert {holdings.turn(())[0] for _ in range(3)} == {(T, 0), (T, 1), (T, 2)}
    assert sorted(holdings.turn(())) == holdings.active(())
    assert holdings.turn({T}) == []
    assert Holdings().turn(()) == []


def test_what_is_dealt_is_no_more_than_asked_for() -> None:
    fetched = [[entry(0, 1), entry(0, 2)], [], [entry(1, 1), entry(1, 2)]]
    assert [(e.partition, e.position) for e in dealt(fetched, 3)] == [(0, 1), (0, 2), (1, 1)]
    assert list(dealt(fetched, 0)) == []
    assert per_partition(100, 8) == 12
    assert per_partition(3, 8) == 1
    assert per_partition(3, 0) == 3
