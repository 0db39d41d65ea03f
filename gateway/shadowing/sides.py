"""`Sides`: asks either side what a caller has asked, as the caller, over connections and a budget of their own.

Each question has its line in the PHI access record (purpose `shadow`); without one its answer is not looked at.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from catalog.stage import Side
from gateway.asking import answer_of, asked_by
from gateway.disagreement import Disagreement
from gateway.edge.request import Request
from gateway.errors import code_of
from gateway.facts import Facts
from gateway.plan import Read
from gateway.read import Reader
from gateway.response import JSON
from gateway.shadowing.pair import Pair
from gateway.shadowing.told import Told
from gateway.shadowing.wire import Question
from gateway.tally import Tally
from routes.asked import AskedList
from routes.problem import MEDIA_TYPE, PROBLEMS, problem_body
from routes.refused import Refused
from runtime.accesslog import AccessLog, Waiter
from runtime.accessrecord import many
from runtime.upstream.errors import UpstreamError, UpstreamTimeout
from runtime.upstream.upstream import Upstream

ALONE: Mapping[Side, Read] = {side: Read(side=side) for side in Side}
"""The plan by which one side answers for itself."""


class NotAnswered(Exception):
    """There is nothing to compare: the side did not answer, or that it was asked could not be recorded."""


class Sides:
    """`services`: who owns a resource, by its path. `deadline`: seconds for one answer, however many questions it takes;
    `clock` is monotonic."""

    def __init__(
        self,
        reader: Reader,
        services: Mapping[str, Upstream],
        records: AccessLog,
        tally: Tally,
        *,
        cursor_key: bytes,
        deadline: float,
        clock: Callable[[], float],
    ) -> None:
        self.services = services
        self.clock = clock
        self._reader = reader
        self._records = records
        self._tally = tally
        self._cursor_key = cursor_key
        self._deadline = deadline

    async def ask(self, plan: Read, pair: Pair) -> Told:
        """The answer by this plan; a refusal is one. Raises NotAnswered."""
        facts, began = pair.facts.behind(plan.side), self.clock()
        try:
            told = await self._answer(plan, pair.request, pair, facts)
        except (UpstreamError, Disagreement) as error:
            code = code_of(error)
            self.record(facts, PROBLEMS[code].status, self.clock() - began, None)
            raise NotAnswered from None
        told.seconds = self.clock() - began
        recorded = _Recorded()
        self.record(facts, told.status, told.seconds, recorded)
        if not await recorded.done:
            raise NotAnswered
        return told

    async def _answer(self, plan: Read, request: Request, pair: Pair, facts: Facts) -> Told:
        user = facts.user
        assert user is not None  # noqa: S101 - whoever is compared is known
        try:
            async with asyncio.timeout(self._deadline):
                asked, caller = asked_by(request, user, pair.found, facts, self._cursor_key)
                answer = await answer_of(self._reader, plan, asked, request, caller)
        except TimeoutError:
            raise UpstreamTimeout(plan.side.value) from None
        except Refused as refused:
            code = code_of(refused)
            told = Told(PROBLEMS[code].status, MEDIA_TYPE, b"")
            told.take(problem_body(code, facts.correlation_id, refused.errors))
            return told
        if answer.rows is not None:
            facts.resource = many(answer.rows)
        told = Told(answer.status, JSON, answer.etag.encode())
        told.take(answer.body)
        return told

    def record(self, facts: Facts, status: int, seconds: float, waiter: Waiter | None) -> None:
        """One question that was asked; `waiter` looks at the answer once there is a record of it."""
        outcome = "success" if status < 400 else "denied" if status < 500 else "failed"
        self._records.append_patient(facts.line(status, seconds, outcome), waiter)
        self._tally.count(facts.route, facts.method, facts.side, facts.stage, status, seconds)

    def question(self, pair: Pair) -> Question:
        """What was asked, for who compares. Of a query that has been refused only whether it was one of a list."""
        facts, user = pair.facts, pair.facts.user
        assert user is not None  # noqa: S101 - whoever is compared is known
        question = Question(
            correlation_id=facts.correlation_id,
            resource=pair.found.path,
            staff=user.identity.staff,
            listed=not facts.single,
        )
        try:
            asked, _ = asked_by(pair.request, user, pair.found, facts, self._cursor_key)
        except Refused:
            return question
        if not isinstance(asked, AskedList):
            return question
        order = tuple((one.column.target, one.descending) for one in asked.query.order)
        return msgspec.structs.replace(question, order=order, limit=asked.query.limit)


class _Recorded:
    """Waits for a record."""

    def __init__(self) -> None:
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def recorded(self, ok: bool) -> None:
        if not self.done.done():
            self.done.set_result(ok)
