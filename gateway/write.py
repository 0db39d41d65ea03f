"""The way of a write, top to bottom: whose side takes it, whether it was there before, who must hear of it, what the caller gets.

    authority   by the writer's stage, the home's or the partition's, unless an own write not yet mirrored pins it
    repeat      the record says where the latest attempt went, before any side is called
    intent      announced before the write is sent; closed with the outcome; settled by the mirror worker
    answer      kept for repeats, then given

What is once sent is finished, whether or not the caller still waits (http-rules section 4).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from catalog.stage import Side, Stage
from gateway.announcer import Announcer, NotAnnounced
from gateway.caller import Caller
from gateway.edge.body import ClientGone
from gateway.facts import Facts
from gateway.pins import Pins
from gateway.plan import Write, plan_write
from gateway.repeat_store import Held, Kept, RepeatStore, StoreUnavailable
from gateway.response import NO_STORE, Header, Response
from gateway.written_row import WriteFailed, WrittenRow
from routes.key import Key, write_key
from routes.problem import MEDIA_TYPE, PROBLEMS, problem_body
from routes.refused import Conflict, Fenced, IdempotencyInFlight, NotHereYet, Refused
from routes.resource import Resource
from runtime.accessrecord import resource_tag
from runtime.correlation import ordered_uuid7
from runtime.failpoint import reach
from runtime.flagsnapshot import Snapshot
from runtime.intent import Closed, Intent, Outcome
from runtime.repeats import Repeatable
from runtime.tasks import spawn
from runtime.upstream.errors import UpstreamTimeout

log = structlog.get_logger("write")

_LEASE_MARGIN_SECONDS = 2.0
_SLACK_SECONDS = 0.5
"""An exchange that hangs is ended by its own deadline, which its upstream counts, before the whole write is."""
_DRAIN_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a write belongs: the stage that decides, and what may stand elsewhere within the entity (a home, a partition)."""

    stage: Stage
    scope: str


@dataclass(frozen=True, kw_only=True)
class Sides:
    """What each side does with the write. `legacy` and `service` may raise Refused and WriteFailed.

    `found` looks in legacy for what one of the earlier attempts has made, by their correlation ids, where no key that is
    derived from the request could tell.
    """

    legacy: Callable[[], Awaitable[WrittenRow]]
    service: Callable[[int], Awaitable["WrittenRow | Kept"]]
    """Gets the epoch; a refusal that the service words itself is Kept as it is."""
    found: Callable[[Sequence[str]], Awaitable[WrittenRow | None]] | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A write, as far as both sides share it. `key` is None where the authority numbers the row."""

    resource: Resource
    key: Key | None
    place: Place
    repeat: Repeatable | None
    sides: Sides
    seconds: float | None = None
    """Longest time to announce and to send it; None: the deadline of a write."""


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """Seconds: of one write, and after it the longest that a statement of either side can still run."""

    write: float
    statement: float


class Writing:
    """Of one process."""

    def __init__(
        self,
        *,
        announcer: Announcer,
        pins: Pins,
        repeats: RepeatStore,
        record_key: bytes,
        deadlines: Deadlines,
        count: Callable[[str, str, str], None],
    ) -> None:
        """`count` is told entity, authority and outcome of each write."""
        self.pins = pins
        self._announcer = announcer
        self._repeats = repeats
        self._record_key = record_key
        self._deadlines = deadlines
        self._count = count
        self._closing: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        """Every outcome that is known has been told; at most a few seconds."""
        if self._closing:
            await asyncio.wait(self._closing, timeout=_DRAIN_SECONDS)

    def user_tag(self, sub: str) -> str:
        """What stands for a user in pins and in the mirror stream."""
        return resource_tag(self._record_key, "user", sub)

    async def write(
        self, asked: Asked, caller: Caller, snapshot: Snapshot, facts: Facts
    ) -> Response:
        """The answer. Raises Refused, WriteFailed, NotAnnounced, StoreUnavailable: then nothing is known to be applied."""
        entity = asked.resource.asset.flag_entity
        state = snapshot.state(entity)
        plan = plan_write(asked.place.stage, ceiling=state.ceiling)
        plan = self._pinned(plan, asked, caller, state.floor)
        held: Held | None = None
        if asked.repeat is not None:
            begun = await self._repeats.begin(
                asked.repeat,
                plan.authority,
                caller.correlation_id,
                lease_seconds=self._deadlines.write + _LEASE_MARGIN_SECONDS,
            )
            if isinstance(begun, Kept):
                facts.side = plan.authority.value
                return _kept_response(begun)
            held = begun
            plan = await self._repeated(plan, held, state.floor)
        facts.side = plan.authority.value
        return await self._attempt(asked, plan, held, caller, state.epoch)

    def _pinned(self, plan: Write, asked: Asked, caller: Caller, floor: Stage) -> Write:
        """A user's writes follow each other: to the side that has the last one, until the other side has it, too.

        The row's own last one goes first: a repeat may have pinned the user to the other side meanwhile.
        """
        if not self.pins.open:
            return plan
        user, asset = self.user_tag(caller.identity.sub), asked.resource.asset
        side = None if asked.key is None else self.pins.of_row(user, asset, asked.key)
        side = side or self.pins.side(user, asset.flag_entity, asked.place.scope)
        if side is None or side is plan.authority:
            return plan
        if side is Side.LEGACY and floor.rank >= Stage.LIVE.rank:
            return plan
        return replace(plan, authority=side, announced=True)

    async def _repeated(self, plan: Write, held: Held, floor: Stage) -> Write:
        """A repeat goes where its latest attempt went; but not to legacy once that takes nothing more: whatever the attempt
        made there has been mirrored by then, and the row's own key tells."""
        if held.earlier is None or held.earlier.authority is plan.authority:
            return plan
        if held.earlier.authority is Side.LEGACY and floor.rank >= Stage.LIVE.rank:
            await self._repeats.move(held, plan.authority)
            return plan
        return replace(plan, authority=held.earlier.authority, announced=True)

    async def _attempt(
        self, asked: Asked, plan: Write, held: Held | None, caller: Caller, epoch: int
    ) -> Response:
        reach("N1")
        seconds = asked.seconds or self._deadlines.write
        end = asyncio.get_running_loop().time() + seconds + _SLACK_SECONDS
        intent = await self._announce(asked, plan, held, caller, epoch, seconds)
        reach("N2")
        outcome, key = Outcome.UNKNOWN, asked.key
        try:
            row = await self._sent(asked, plan, held, epoch, end)
            reach("N4")
            answer = row if isinstance(row, Kept) else row_answer(asked.resource, row)
            outcome = Outcome.NOT_APPLIED if isinstance(row, Kept) else Outcome.APPLIED
            key = key or (None if isinstance(row, Kept) else row.key)
            await self._finish(held, answer)
        except IdempotencyInFlight:
            raise  # an earlier attempt runs there: what becomes of it is unknown
        except Refused as refused:
            outcome = Outcome.NOT_APPLIED
            if not isinstance(refused, Fenced | NotHereYet):
                await self._finish(held, refused_answer(refused, caller.correlation_id))
            raise
        except ClientGone:
            outcome = Outcome.NOT_APPLIED  # in the middle of its body, which nobody has seen whole
            raise
        except WriteFailed as failed:
            outcome = failed.outcome
            raise
        finally:
            self._close(intent, outcome, key)
            self._count(asked.resource.entity, plan.authority.value, outcome.value)
            await self._let_go(asked, held, outcome)
        reach("W4")
        return _kept_response(answer)

    async def _announce(
        self,
        asked: Asked,
        plan: Write,
        held: Held | None,
        caller: Caller,
        epoch: int,
        seconds: float,
    ) -> Intent | None:
        if not plan.announced:
            return None
        intent = Intent(
            id=ordered_uuid7(),
            entity=asked.resource.entity,
            key=asked.key,
            authority=plan.authority,
            scope=asked.place.scope,
            user=self.user_tag(caller.identity.sub),
            epoch=epoch,
            correlation_id=caller.correlation_id,
            grace_seconds=seconds + _SLACK_SECONDS + self._deadlines.statement,
        )
        try:
            await self._announcer.announce(intent)
        except NotAnnounced:
            await self._let_go(asked, held, Outcome.NOT_APPLIED)
            raise
        self.pins.hear(intent)
        return intent

    async def _sent(
        self, asked: Asked, plan: Write, held: Held | None, epoch: int, end: float
    ) -> "WrittenRow | Kept":
        """Nothing is sent behind `end`: it would come after the worker's last look at the row. On legacy a write is several requests."""
        cause = UpstreamTimeout(plan.authority)
        if asyncio.get_running_loop().time() >= end:
            raise WriteFailed(cause, Outcome.NOT_APPLIED)
        try:
            async with asyncio.timeout_at(end):
                return await self._send(asked, plan, held, epoch)
        except TimeoutError:
            raise WriteFailed(cause, Outcome.UNKNOWN) from None

    async def _send(
        self, asked: Asked, plan: Write, held: Held | None, epoch: int
    ) -> "WrittenRow | Kept":
        if plan.authority is Side.SERVICE:
            return await asked.sides.service(epoch)
        sides = asked.sides
        if sides.found is None or held is None or held.earlier is None:
            return await sides.legacy()
        earlier = held.earlier.correlation_ids
        if asked.key is None and (there := await sides.found(earlier)) is not None:
            return there
        try:
            return await sides.legacy()
        except Conflict:
            # Of a key that is the row's own: what is in the way may be what an earlier attempt has made.
            if (there := await sides.found(earlier)) is None:
                raise
            return there

    # --- how it ends

    def _close(self, intent: Intent | None, outcome: Outcome, key: Key | None) -> None:
        """Behind the answer: the worker waits for it, the caller does not."""
        if intent is None:
            return
        closed = Closed(id=intent.id, outcome=outcome, key=key)
        self.pins.hear(closed)
        closing = spawn(self._announcer.close(intent, closed), name="intent.close")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _finish(self, held: Held | None, answer: Kept) -> None:
        """The write has ended whatever becomes of its record: without one a repeat finds the row."""
        if held is None:
            return
        try:
            await self._repeats.finish(held, answer)
        except StoreUnavailable:
            log.warning("repeat.not_kept")

    async def _let_go(self, asked: Asked, held: Held | None, outcome: Outcome) -> None:
        """What is not finished: a repeat may come at once, but where only the row itself could tell whether it is there, not
        before the attempt must have ended. Of a first attempt that did nothing, nothing is kept."""
        if held is None or outcome is Outcome.APPLIED:
            return
        numbered = asked.key is None and outcome is Outcome.UNKNOWN
        ended = self._deadlines.write + self._deadlines.statement if numbered else 0.0
        try:
            if outcome is Outcome.NOT_APPLIED and held.earlier is None:
                await self._repeats.drop(held)
            else:
                await self._repeats.release(held, after_seconds=ended)
        except StoreUnavailable:
            log.warning("repeat.not_released")


def row_answer(resource: Resource, row: WrittenRow) -> Kept:
    headers: list[Header] = []
    if row.etag:
        headers.append((b"etag", row.etag.encode()))
    if row.status == 201 and row.key is not None and not resource.nested:
        place = f"{resource.collection_path}/{write_key(row.key)}"
        headers.append((b"location", place.encode()))
    return Kept(status=row.status, body=row.body, headers=headers)


def refused_answer(refused: Refused, correlation_id: str) -> Kept:
    """A refusal as an answer that can be kept."""
    body = problem_body(refused.code, correlation_id, refused.errors, legal=refused.legal)
    status = PROBLEMS[refused.code].status
    return Kept(status=status, body=body, headers=[(b"content-type", MEDIA_TYPE)])


def _kept_response(answer: Kept) -> Response:
    headers = [NO_STORE, *((n, v) for n, v in answer.headers if n != b"content-type")]
    types = [value for name, value in answer.headers if name == b"content-type"]
    if types:
        return Response(
            status=answer.status, body=answer.body, content_type=types[0], headers=tuple(headers)
        )
    return Response(status=answer.status, body=answer.body, headers=tuple(headers))
