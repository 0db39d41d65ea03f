"""What a write does in which order, and what the caller is told when something of it fails."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from catalog.stage import Side, Stage
from runtime.flagrule import WHOLE, Canonical, Shares
from runtime.flagset import FlagSet, first_flag_set
from runtime.intent import Closed, Intent, Outcome, Settled
from tests.fakes.scripted import Script, Trouble
from tests.flow.gateway_world import ROW, World, at, reply, staged, task
from tests.until import until_async

pytestmark = pytest.mark.flow

ITEM = f"/v2/compliance/{ROW}"
NEW = {"task_type": "identity_check", "title": "t"}
ALL = pytest.mark.parametrize


def made(request: httpx.Request) -> httpx.Response:
    """Legacy takes everything."""
    if request.method == "DELETE":
        return reply(200, [{"id": ROW}])
    if request.method == "GET":
        return reply(200, [task()])
    sent = json.loads(request.content)
    return reply(
        201 if request.method == "POST" else 200,
        [task(**{n: sent[n] for n in ("id", "title") if n in sent})],
    )


def taken(request: httpx.Request) -> httpx.Response:
    """The service takes everything."""
    if request.method == "DELETE":
        return reply(204, b"")
    headers = {"content-type": "application/json", "etag": '"5.service"'}
    return reply(201 if request.method == "POST" else 200, {"id": ROW, "status": "open"}, **headers)


def problem(status: int, code: str, **members: Any) -> Script:
    return lambda request: reply(
        status, {"code": code, **members}, **{"content-type": "application/problem+json"}
    )


async def trail(world: World, length: int) -> list[str]:
    async def long_enough() -> bool:
        return len(world.trail) >= length

    await until_async(long_enough)
    return world.trail


# --- the order of things


@staged(at(Stage.DUAL_WRITE))
async def test_legacy_gets_it_behind_its_announcement(world: World) -> None:
    world.scripts["legacy"] = made
    answer = await world.send("POST", "/v2/compliance", NEW, key="k")
    assert answer.status_code == 201
    assert await trail(world, 3) == ["intent", "legacy POST", "closed"]
    intent, closed = world.stream.said
    assert isinstance(intent, Intent)
    assert (intent.entity, intent.authority, intent.key) == (
        "compliance_tasks",
        Side.LEGACY,
        (answer.json()["id"],),
    )
    assert intent.correlation_id == answer.headers["x-correlation-id"]
    assert closed == Closed(id=intent.id, outcome=Outcome.APPLIED, key=intent.key)
    assert world.asked["service"] == []


@staged(at(Stage.LIVE), at(Stage.RAMP_DOWN))
async def test_the_service_gets_it_behind_its_announcement(world: World) -> None:
    world.scripts["service"] = taken
    answer = await world.send("PATCH", ITEM, {"priority": 1}, if_match='"4.service"')
    assert (answer.status_code, answer.headers["etag"]) == (200, '"5.service"')
    assert await trail(world, 3) == ["intent", "service PATCH", "closed"]
    assert world.asked["legacy"] == []


@staged(at(Stage.LEGACY), at(Stage.SHADOW), at(Stage.COMPLETE))
async def test_where_no_mirror_runs_nothing_is_announced(world: World) -> None:
    world.scripts |= {"legacy": made, "service": taken}
    assert (await world.send("POST", "/v2/compliance", NEW, key="k")).status_code == 201
    assert [step for step in world.trail if step in ("intent", "closed")] == []


@staged(at(Stage.DUAL_WRITE))
async def test_a_change_names_its_row_and_the_version_that_was_read(world: World) -> None:
    world.scripts["legacy"] = made
    await world.send("PATCH", ITEM, {"title": "u"})
    await world.send("DELETE", ITEM)
    changes = [one for one in world.asked["legacy"] if not one.startswith("GET")]
    assert (
        f"id=eq.{ROW}&updated_at=eq.2024-01-02T00%3A00%3A00%2B00%3A00&origin=eq.legacy"
        in changes[0]
    )
    assert changes[1] == f"DELETE /rest/v1/compliance_tasks?select=id&id=eq.{ROW}"


# --- how an authority can fail, and what is said of it


@ALL(
    ("script", "refusal", "outcome"),
    [
        (Trouble.REFUSED, (503, "upstream_unreachable"), Outcome.NOT_APPLIED),
        (Trouble.RESET, (502, "upstream_broke"), Outcome.UNKNOWN),
        (Trouble.SILENCE, (504, "upstream_timeout"), Outcome.UNKNOWN),
        (lambda request: reply(500, b"<html>"), (502, "upstream_broke"), Outcome.UNKNOWN),
        (
            lambda request: reply(500, {"code": "57014"}),
            (504, "upstream_timeout"),
            Outcome.NOT_APPLIED,
        ),
        (
            lambda request: reply(503, {"message": "edge"}),
            (503, "upstream_unreachable"),
            Outcome.UNKNOWN,
        ),
        (lambda request: reply(201, b"[]"), (502, "upstream_broke"), Outcome.UNKNOWN),
        (lambda request: reply(201, b"nonsense"), (502, "upstream_broke"), Outcome.UNKNOWN),
    ],
    ids=[
        "refused",
        "reset",
        "silence",
        "edge-500",
        "statement-timeout",
        "edge-503",
        "no-row",
        "nonsense",
    ],
)
@staged(at(Stage.DUAL_WRITE))
async def test_legacy_fails(
    world: World, script: Script, refusal: tuple[int, str], outcome: Outcome
) -> None:
    world.scripts["legacy"] = script
    answer = await world.send("POST", "/v2/compliance", NEW, key="k")
    assert (answer.status_code, answer.json()["code"]) == refusal
    assert answer.json()["outcome"] == outcome
    assert ("retry-after" in answer.headers) == (answer.status_code == 503)
    await trail(world, 2)
    await until_async(lambda: closed_with(world, outcome))
    assert b"patient" not in answer.content


async def closed_with(world: World, outcome: Outcome) -> bool:
    return [s.outcome for s in world.stream.said if isinstance(s, Closed)] == [outcome]


@ALL(
    ("script", "refusal", "outcome"),
    [
        (Trouble.REFUSED, (503, "upstream_unreachable"), Outcome.NOT_APPLIED),
        (Trouble.RESET, (502, "upstream_broke"), Outcome.UNKNOWN),
        (
            problem(503, "upstream_busy", outcome="not_applied"),
            (503, "upstream_busy"),
            Outcome.NOT_APPLIED,
        ),
        (
            problem(507, "storage_full", outcome="not_applied"),
            (507, "storage_full"),
            Outcome.NOT_APPLIED,
        ),
        (
            problem(502, "upstream_broke", outcome="unknown"),
            (502, "upstream_broke"),
            Outcome.UNKNOWN,
        ),
        (lambda request: reply(500, b"boom"), (502, "upstream_broke"), Outcome.UNKNOWN),
    ],
    ids=["refused", "reset", "busy", "full", "unknown", "no-problem"],
)
@staged(at(Stage.LIVE))
async def test_a_service_fails(
    world: World, script: Script, refusal: tuple[int, str], outcome: Outcome
) -> None:
    """It never becomes a write to the other side."""
    world.scripts |= {"service": script, "legacy": made}
    answer = await world.send("POST", "/v2/compliance", NEW, key="k")
    assert (answer.status_code, answer.json()["code"]) == refusal
    assert answer.json()["outcome"] == outcome
    assert world.asked["legacy"] == []
    await until_async(lambda: closed_with(world, outcome))


@staged(at(Stage.LIVE))
async def test_a_service_s_refusal_is_told_in_its_own_words(world: World) -> None:
    world.scripts["service"] = problem(409, "illegal_transition", legal=["cancelled"])
    answer = await world.send("PATCH", ITEM, {"status": "open"})
    assert (answer.status_code, answer.json()) == (
        409,
        {"code": "illegal_transition", "legal": ["cancelled"]},
    )
    await until_async(lambda: closed_with(world, Outcome.NOT_APPLIED))


# --- no write without its announcement (N5)


@staged(at(Stage.DUAL_WRITE))
async def test_without_the_stream_it_is_announced_on_the_disk(world: World) -> None:
    world.scripts["legacy"] = made
    world.stream.down = True
    assert (await world.send("POST", "/v2/compliance", NEW, key="k")).status_code == 201
    await until_async(lambda: spooled(world, 2))
    world.stream.down = False
    writes = world.app.deps.writes
    assert writes is not None
    await writes._writing._announcer._spool.replay(world.stream.append_many)
    assert [type(s) for s in world.stream.said] == [Intent, Closed]


async def spooled(world: World, lines: int) -> bool:
    return sum(len(path.read_bytes().splitlines()) for path in world.spool.glob("*.spool")) == lines


@staged(at(Stage.DUAL_WRITE), at(Stage.LIVE))
async def test_without_stream_and_disk_nothing_is_sent(world: World) -> None:
    world.scripts |= {"legacy": made, "service": taken}
    world.stream.down = True
    world.spool.touch()  # no folder: nothing can be written there
    answer = await world.send("POST", "/v2/compliance", NEW, key="k")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_announced")
    assert answer.json()["outcome"] == "not_applied"
    assert answer.headers["retry-after"]
    assert (world.asked["legacy"], world.asked["service"]) == ([], [])
    world.stream.down = False
    world.spool.unlink()
    await asyncio.sleep(1.1)  # the stream is left alone for a second
    assert (await world.send("POST", "/v2/compliance", NEW, key="k")).status_code == 201


# --- repeats


@staged(at(Stage.DUAL_WRITE))
async def test_a_repeat_goes_where_its_first_attempt_went(world: World) -> None:
    """Whatever the user's stage is by then (refuted otherwise: 111 of 1,000 worlds saw a double effect)."""
    world.scripts |= {"legacy": Trouble.RESET, "service": taken}
    first = await world.send("POST", "/v2/compliance", NEW, key="k")
    assert first.json()["outcome"] == "unknown"
    world.scripts["legacy"] = made
    world.at(ramped(Stage.LIVE))
    again = await world.send("POST", "/v2/compliance", NEW, key="k")
    assert again.status_code == 201
    assert world.asked["service"] == []


def ramped(stage: Stage) -> FlagSet:
    """Everybody at a stage by their flag, while both sides may still take writes."""
    first = first_flag_set(Stage.COMPLETE)
    rule = Canonical(shares=Shares().ramped(stage, WHOLE))
    flags = {scope: replace(flag, rule=rule) for scope, flag in first.flags.items()}
    return replace(first, flags=flags)


@staged(at(Stage.DUAL_WRITE))
async def test_a_repeat_of_a_finished_write_asks_nobody(world: World) -> None:
    world.scripts["legacy"] = made
    first = await world.send("POST", "/v2/compliance", NEW, key="k")
    world.scripts["legacy"] = Trouble.REFUSED
    again = await world.send("POST", "/v2/compliance", NEW, key="k")
    assert (again.status_code, again.content) == (201, first.content)
    assert len(world.asked["legacy"]) == 1
    assert (
        await world.send("POST", "/v2/compliance", {**NEW, "title": "u"}, key="k")
    ).status_code == 422


@staged(at(Stage.DUAL_WRITE))
async def test_a_row_that_is_there_already_is_the_first_attempt_s(world: World) -> None:
    """The reply of the first attempt was lost on its way; legacy says so when the row comes again."""

    def twice(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return reply(200, [task(title="t")])
        message = 'duplicate key value violates unique constraint "compliance_tasks_pkey"'
        return reply(409, {"code": "23505", "message": message})

    world.scripts["legacy"] = twice
    answer = await world.send("POST", "/v2/compliance", NEW, key="k")
    assert (answer.status_code, answer.json()["title"]) == (201, "t")
    other = await world.send("POST", "/v2/compliance", {**NEW, "title": "u"}, key="l")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


# --- one's own writes


@staged(at(Stage.DUAL_WRITE))
async def test_reads_and_writes_stay_where_the_last_write_is_until_the_other_side_has_it(
    world: World,
) -> None:
    world.scripts |= {"legacy": made, "service": taken}
    written = await world.send("PATCH", ITEM, {"title": "u"})
    assert written.status_code == 200
    world.at(ramped(Stage.RAMP_DOWN))
    read = await world.send("GET", ITEM)
    assert read.headers["etag"].endswith('.legacy"')
    await world.send("PATCH", ITEM, {"title": "v"})
    assert world.asked["service"] == []
    others = await world.send("GET", ITEM, role="clinician")
    assert others.status_code == 200
    for intent in [s for s in world.stream.said if isinstance(s, Intent)]:
        world.app.deps.pins.hear(Settled(id=intent.id))
    world.asked["legacy"].clear()
    await world.send("PATCH", ITEM, {"title": "w"})
    assert world.asked["service"][-1].startswith("PATCH")
    assert world.asked["legacy"] == []


@staged(at(Stage.LIVE))
async def test_a_service_that_fails_is_not_replaced_for_whoever_has_just_written_there(
    world: World,
) -> None:
    world.scripts |= {"legacy": made, "service": taken}
    await world.send("PATCH", ITEM, {"title": "u"})
    world.scripts["service"] = Trouble.REFUSED
    answer = await world.send("GET", ITEM)
    assert (answer.status_code, answer.json()["code"]) == (503, "upstream_unreachable")


# --- a client that leaves, an authority that changes hands


@staged(at(Stage.LIVE))
async def test_a_write_is_finished_although_its_caller_has_left(world: World) -> None:
    world.scripts["service"] = taken
    sending = asyncio.ensure_future(world.send("POST", "/v2/compliance", NEW, key="k"))  # noqa: TID251 - a client of its own
    await trail(world, 1)
    sending.cancel()
    await until_async(lambda: closed_with(world, Outcome.APPLIED))


@staged(at(Stage.LIVE))
async def test_who_is_fenced_goes_where_the_newer_flags_say(world: World) -> None:
    def fenced(request: httpx.Request) -> httpx.Response:
        world.at(ramped(Stage.DUAL_WRITE))
        return reply(
            409, {"code": "authority_changed"}, **{"content-type": "application/problem+json"}
        )

    world.scripts |= {"service": fenced, "legacy": made}
    answer = await world.send("POST", "/v2/compliance", NEW, key="k")
    assert answer.status_code == 201
    assert [one.split()[0] for one in world.asked["legacy"]] == ["POST"]


@staged(at(Stage.LIVE))
async def test_who_is_fenced_without_newer_flags_is_told(world: World) -> None:
    world.scripts["service"] = problem(409, "authority_changed")
    answer = await world.send("POST", "/v2/compliance", NEW, key="k")
    assert (answer.status_code, answer.json()["code"]) == (409, "authority_changed")


# --- a row that the user sees, and the side that takes the write does not have


def without_the_row(*, known: bool = False) -> Script:
    """A service that has not got the row, and has never heard of it unless `known`."""

    def script(request: httpx.Request) -> httpx.Response:
        if request.extensions["target"] == b"/internal/known":
            return reply(200, {"known": [known]})
        headers = {"content-type": "application/problem+json"}
        return reply(404, {"code": "not_found"}, **headers)

    return script


@ALL(("method", "body"), [("PATCH", {"title": "u"}), ("DELETE", None)])
@staged(at(Stage.LIVE), at(Stage.RAMP_DOWN))
async def test_a_row_that_has_not_come_over_is_for_later_and_legacy_is_not_written(
    world: World, method: str, body: Any
) -> None:
    world.scripts |= {"service": without_the_row(), "legacy": made}
    for _ in range(2):
        answer = await world.send(method, ITEM, body, key="k")
        found = answer.json()
        assert (answer.status_code, found["code"]) == (409, "not_here_yet")
        assert (found["outcome"], answer.headers["retry-after"]) == ("not_applied", "1")
    assert {one.split()[0] for one in world.asked["legacy"]} == {"GET"}
    await until_async(lambda: closed_twice(world, Outcome.NOT_APPLIED))
    # Nothing of it is kept: the repeat succeeds once the row is there.
    world.scripts["service"] = taken
    again = await world.send(method, ITEM, body, key="k")
    assert again.status_code == (200 if method == "PATCH" else 204)


@ALL(("method", "body"), [("PATCH", {"title": "u"}), ("DELETE", None)])
@staged(at(Stage.LIVE))
async def test_a_row_that_comes_over_between_two_questions_is_written(
    world: World, method: str, body: Any
) -> None:
    answers: list[Any] = [without_the_row(), without_the_row(known=True), taken, taken]
    world.scripts |= {"service": lambda request: answers.pop(0)(request), "legacy": made}
    answer = await world.send(method, ITEM, body, key="k")
    assert answer.status_code == (200 if method == "PATCH" else 204)
    asked = [one.split()[0] for one in world.asked["service"]]
    assert asked == [method, "POST", "GET", method]
    assert world.asked["legacy"] == []


async def closed_twice(world: World, outcome: Outcome) -> bool:
    return [s.outcome for s in world.stream.said if isinstance(s, Closed)] == [outcome] * 2


@ALL(
    ("known", "legacy"),
    [(True, made), (False, lambda request: reply(200, []))],
    ids=["deleted-or-hidden-here", "nowhere"],
)
@staged(at(Stage.LIVE))
async def test_what_is_not_there_for_the_user_is_not_found(
    world: World, known: bool, legacy: Script
) -> None:
    world.scripts |= {"service": without_the_row(known=known), "legacy": legacy}
    answer = await world.send("PATCH", ITEM, {"title": "u"}, key="k")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@staged(at(Stage.COMPLETE))
async def test_where_legacy_has_nothing_to_give_it_is_not_asked(world: World) -> None:
    world.scripts |= {"service": without_the_row(), "legacy": made}
    answer = await world.send("PATCH", ITEM, {"title": "u"})
    assert (answer.status_code, world.asked["legacy"]) == (404, [])


@ALL(
    ("script", "refusal"),
    [
        (Trouble.REFUSED, (503, "upstream_unreachable")),
        (Trouble.SILENCE, (504, "upstream_timeout")),
        (lambda request: reply(200, b"nonsense"), (502, "upstream_broke")),
    ],
    ids=["refused", "silence", "nonsense"],
)
@staged(at(Stage.LIVE))
async def test_while_nobody_can_tell_it_is_not_said_to_be_missing(
    world: World, script: Script, refusal: tuple[int, str]
) -> None:
    world.scripts |= {"service": without_the_row(), "legacy": script}
    answer = await world.send("PATCH", ITEM, {"title": "u"})
    assert (answer.status_code, answer.json()["code"]) == refusal
    assert answer.json()["outcome"] == "not_applied"


@staged(at(Stage.LIVE))
async def test_an_own_pin_to_the_service_does_not_make_legacy_s_row_missing(world: World) -> None:
    """Somebody whom legacy serves again, whose last write the service has: the row is legacy's alone."""
    world.scripts |= {"service": taken, "legacy": made}
    other = "/v2/compliance/00000000-0000-4000-8000-000000000001"
    assert (await world.send("PATCH", other, {"title": "u"})).status_code == 200
    world.at(first_flag_set(Stage.DUAL_WRITE))
    world.scripts["service"] = without_the_row()
    assert (await world.send("GET", ITEM)).status_code == 200
    answer = await world.send("PATCH", ITEM, {"title": "u"})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_here_yet")
    assert {one.split()[0] for one in world.asked["legacy"]} == {"GET"}
