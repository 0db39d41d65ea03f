"""What a store of repeats promises; one suite for the control database and for the fake."""

import asyncio
from dataclasses import replace

import pytest

from catalog.stage import Side
from gateway.repeat_store import Earlier, Held, Kept, RepeatStore
from routes.refused import IdempotencyInFlight, IdempotencyMismatch
from runtime.repeats import Repeatable

REQUEST = Repeatable(sub="u", route="POST /v2/lab-orders", key="k", fingerprint=b"f")
ANSWER = Kept(status=201, body=b'{"given_name":"Ada"}', headers=[(b"etag", b'"1.legacy"')])


class RepeatStoreContract:
    """A heir brings the fixture `store`, a new one for each test; leases of 0 seconds have ended at once."""

    async def begin(
        self,
        store: RepeatStore,
        request: Repeatable = REQUEST,
        *,
        side: Side = Side.LEGACY,
        id_: str = "c1",
        lease: float = 60,
    ) -> Held | Kept:
        return await store.begin(request, side, id_, lease_seconds=lease)

    async def held(self, store: RepeatStore, **words: object) -> Held:
        found = await self.begin(store, **words)  # type: ignore[arg-type]
        assert isinstance(found, Held)
        return found

    async def test_a_first_attempt_holds_the_key(self, store: RepeatStore) -> None:
        held = await self.held(store)
        assert (held.attempt, held.earlier) == (1, None)
        with pytest.raises(IdempotencyInFlight):
            await self.begin(store)

    @pytest.mark.parametrize(
        "other",
        [
            replace(REQUEST, sub="v"),
            replace(REQUEST, route="POST /v2/submissions"),
            replace(REQUEST, key="l"),
        ],
        ids=["user", "route", "key"],
    )
    async def test_another_user_route_or_key_is_another_request(
        self, store: RepeatStore, other: Repeatable
    ) -> None:
        await self.held(store)
        assert (await self.held(store, request=other)).attempt == 1

    async def test_a_finished_one_is_answered_again(self, store: RepeatStore) -> None:
        await store.finish(await self.held(store), ANSWER)
        assert await self.begin(store, side=Side.SERVICE) == ANSWER

    async def test_another_request_under_the_key_is_refused_in_any_state(
        self, store: RepeatStore
    ) -> None:
        held = await self.held(store)
        other = replace(REQUEST, fingerprint=b"g")
        with pytest.raises(IdempotencyMismatch):
            await self.begin(store, request=other)
        await store.finish(held, ANSWER)
        with pytest.raises(IdempotencyMismatch):
            await self.begin(store, request=other)

    async def test_a_dead_owner_s_attempt_says_where_it_went(self, store: RepeatStore) -> None:
        await self.held(store, lease=0)
        second = await self.held(store, side=Side.SERVICE, id_="c2", lease=0)
        assert second.attempt == 2
        assert second.earlier == Earlier(authority=Side.LEGACY, correlation_ids=("c1",))
        await store.move(second, Side.SERVICE)
        third = await self.held(store, id_="c1", lease=0)
        assert third.earlier == Earlier(authority=Side.SERVICE, correlation_ids=("c1", "c2"))
        fourth = await self.held(store, id_="c4")
        assert fourth.earlier == third.earlier

    async def test_who_was_taken_over_changes_nothing_more(self, store: RepeatStore) -> None:
        first = await self.held(store, lease=0)
        second = await self.held(store, id_="c2")
        await store.finish(first, ANSWER)
        await store.drop(first)
        await store.move(first, Side.SERVICE)
        await store.release(first, after_seconds=0)
        with pytest.raises(IdempotencyInFlight):
            await self.begin(store)
        later = Kept(status=409, body=b"{}", headers=[])
        await store.finish(second, later)
        assert await self.begin(store) == later

    async def test_what_did_nothing_leaves_nothing(self, store: RepeatStore) -> None:
        await store.drop(await self.held(store))
        again = await self.held(store, side=Side.SERVICE)
        assert (again.attempt, again.earlier) == (1, None)

    async def test_an_unknown_outcome_can_be_asked_for_when_it_is_time(
        self, store: RepeatStore
    ) -> None:
        held = await self.held(store)
        await store.release(held, after_seconds=60)
        with pytest.raises(IdempotencyInFlight):
            await self.begin(store)
        await store.release(held, after_seconds=0)
        assert (await self.held(store)).earlier is not None

    async def test_an_answer_is_not_taken_back(self, store: RepeatStore) -> None:
        held = await self.held(store)
        await store.finish(held, ANSWER)
        await store.drop(held)
        await store.release(held, after_seconds=0)
        assert await self.begin(store) == ANSWER

    async def test_of_many_at_once_one_holds_it(self, store: RepeatStore) -> None:
        async def attempt() -> bool:
            try:
                return isinstance(await self.begin(store), Held)
            except IdempotencyInFlight:
                return False

        assert sum(await asyncio.gather(*(attempt() for _ in range(20)))) == 1

    async def test_of_many_heirs_one_takes_over(self, store: RepeatStore) -> None:
        await self.held(store, lease=0)

        async def attempt() -> bool:
            try:
                return isinstance(await self.begin(store), Held)
            except IdempotencyInFlight:
                return False

        assert sum(await asyncio.gather(*(attempt() for _ in range(20)))) == 1
