"""What is asked behind a caller's answer, what is made of it, and that the caller never notices."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import structlog

from catalog.stage import Stage
from tests.fakes.scripted import Script, Trouble
from tests.flow.gateway_world import ROW, at, reply, rows, staged, status, task
from tests.flow.shadow_world import Shadowed

pytestmark = pytest.mark.flow

ITEM = f"/v2/compliance/{ROW}"
LIST = "/v2/compliance"
ETAG = '"1704153600000000.legacy"'


def told(answer: httpx.Response) -> Script:
    """A side that says exactly this."""
    headers = {"content-type": answer.headers["content-type"]}
    if "etag" in answer.headers:
        headers["etag"] = answer.headers["etag"]
    return lambda request: reply(answer.status_code, answer.content, **headers)


def row_of(answer: httpx.Response, **changed: Any) -> Script:
    """The same row, but for these members."""
    body = json.dumps({**answer.json(), **changed}).encode()
    headers = {"content-type": "application/json", "etag": answer.headers["etag"]}
    return lambda request: reply(200, body, **headers)


def seconds_ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


async def first(shadowed: Shadowed, path: str = ITEM, **legacy: Any) -> httpx.Response:
    """What legacy answers, with a candidate that is not there yet: counted, and forgotten."""
    shadowed.world.scripts["legacy"] = rows(task(**legacy))
    shadowed.reads.share = 0.0
    answer = await shadowed.world.get(path)
    shadowed.reads.share = 1.0
    return answer


@staged(at(Stage.SHADOW), at(Stage.DUAL_WRITE))
@pytest.mark.parametrize("path", [ITEM, LIST, f"{LIST}?status=completed&limit=3"])
async def test_the_service_is_asked_the_same_as_the_user(shadowed: Shadowed, path: str) -> None:
    shadowed.scripts["service"] = told(await first(shadowed, path))
    answer = await shadowed.world.get(path, traceparent="00-1-2-01")
    await shadowed.settle()
    assert answer.status_code == 200
    [asked] = shadowed.asked["service"]
    assert (asked.method, asked.extensions["target"].decode()) == ("GET", path)
    assert asked.headers["authorization"] == "Bearer clinician"
    assert asked.headers["x-correlation-id"] == answer.headers["x-correlation-id"]
    assert asked.headers["accept-encoding"] == "identity"
    assert "apikey" not in asked.headers
    assert shadowed.counted() == {"pairs": 1, "mismatches": 0, "visibility": 0}
    assert shadowed.asked["legacy"] == []
    assert shadowed.comparator.pairs == 0


@staged(at(Stage.SHADOW))
async def test_both_questions_have_their_record(shadowed: Shadowed) -> None:
    shadowed.scripts["service"] = told(await first(shadowed))
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    own, behind = shadowed.world.records.lines[-2:]
    assert (own["purpose"], own["side"]) == ("treatment", "legacy")
    assert (behind["purpose"], behind["side"], behind["status"]) == ("shadow", "service", 200)
    same = ("correlation_id", "sub", "resource", "entity", "stage", "route", "action")
    assert [own[name] for name in same] == [behind[name] for name in same]


@staged(at(Stage.SHADOW))
async def test_without_a_record_nothing_is_looked_at(shadowed: Shadowed) -> None:
    shadowed.scripts["service"] = row_of(await first(shadowed), status="open")
    play = shadowed.scripts["service"]

    def fill(request: httpx.Request) -> httpx.Response:
        shadowed.world.records.works = False
        shadowed.world.app.deps.records._leave_file()
        assert not isinstance(play, Trouble)
        return play(request)

    shadowed.scripts["service"] = fill
    assert (await shadowed.world.get(ITEM)).status_code == 200
    await shadowed.settle()
    assert shadowed.counted()["candidate_failed"] == 1
    assert shadowed.comparator.pairs == 0


@staged(at(Stage.SHADOW))
async def test_another_value_is_one_line_one_example_and_no_value(shadowed: Shadowed) -> None:
    answer = await first(shadowed)
    shadowed.scripts["service"] = row_of(answer, title="Quickwater", metadata={"a": "Riverstone"})
    with structlog.testing.capture_logs() as logs:
        asked = await shadowed.world.get(ITEM)
        await shadowed.settle()
    [line] = [one for one in logs if one["event"] == "shadow.mismatch"]
    assert line["correlation_id"] == asked.headers["x-correlation-id"]
    assert (line["fields"], line["kinds"]) == (["metadata", "title"], ["extra", "value"])
    assert (line["candidate"], line["stage"], line["release"]) == ("service", "shadow", "r1")
    titles = [one for one in shadowed.store.examples if one.field == "title"]
    assert [(one.kind, one.path, one.correlation_id) for one in titles] == [
        ("value", "title", line["correlation_id"])
    ]
    assert titles[0].left["tag"] != titles[0].right["tag"]
    assert titles[0].sealed_key
    assert "Quickwater" not in repr((logs, shadowed.store.examples, shadowed.store.counts))
    assert "Riverstone" not in repr((logs, shadowed.store.examples))
    assert shadowed.counted() == {"pairs": 1, "mismatches": 1, "visibility": 0}
    metric = shadowed.metric("banyan_shadow_differences_total")
    assert (
        metric['{candidate="service",field="title",kind="value",route="/v2/compliance/{key}"}'] == 1
    )


@staged(at(Stage.SHADOW))
async def test_another_spelling_is_a_match(shadowed: Shadowed) -> None:
    answer = await first(shadowed)
    body = json.dumps(answer.json(), indent=1).replace("+00:00", "Z").encode()
    shadowed.scripts["service"] = lambda request: reply(
        200, body, **{"content-type": "application/json", "etag": ETAG}
    )
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.comparator.pairs == 1
    assert shadowed.counted() == {"pairs": 1, "mismatches": 0, "visibility": 0}


@staged(at(Stage.SHADOW))
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (status(500), "candidate_failed"),
        (status(429), "candidate_failed"),
        (Trouble.REFUSED, "candidate_failed"),
        (Trouble.RESET, "candidate_failed"),
        (Trouble.SILENCE, "candidate_failed"),
        (lambda request: reply(200, b"x" * (1 << 20) + b"x"), "truncated"),
    ],
    ids=["500", "429", "refused", "reset", "silence", "too long"],
)
async def test_a_candidate_that_says_nothing_costs_the_caller_nothing(
    shadowed: Shadowed, script: Script, reason: str
) -> None:
    shadowed.world.scripts["legacy"], shadowed.scripts["service"] = rows(task()), script
    answers = [await shadowed.world.get(ITEM) for _ in range(3)]
    await shadowed.settle()
    assert [one.status_code for one in answers] == [200] * 3
    assert shadowed.counted() == {"pairs": 0, "mismatches": 0, "visibility": 0, reason: 3}
    assert (shadowed.room.pairs, shadowed.room.bytes) == (0, 0)


@staged(at(Stage.SHADOW))
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"id": 1, "id": 2}', b"\xff", b"[" * 100_000], ids=repr
)
async def test_garbage_is_a_mismatch_of_its_own_kind(shadowed: Shadowed, body: bytes) -> None:
    shadowed.world.scripts["legacy"] = rows(task())
    shadowed.scripts["service"] = lambda request: reply(
        200, body, **{"content-type": "application/json", "etag": ETAG}
    )
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert [one.kind for one in shadowed.store.examples] == ["unreadable"]
    assert shadowed.counted()["mismatches"] == 1


@staged(at(Stage.SHADOW))
@pytest.mark.parametrize("primary", [status(500), Trouble.REFUSED], ids=["500", "refused"])
async def test_a_failed_answer_is_compared_with_nothing(
    shadowed: Shadowed, primary: Script
) -> None:
    shadowed.world.scripts["legacy"] = primary
    assert (await shadowed.world.get(ITEM)).status_code >= 500
    await shadowed.settle()
    assert shadowed.asked["service"] == []
    assert shadowed.counted()["primary_failed"] == 1


@staged(at(Stage.SHADOW))
async def test_refusals_are_compared_by_their_code(shadowed: Shadowed) -> None:
    problem = {"content-type": "application/problem+json"}
    shadowed.scripts["service"] = lambda request: reply(400, {"code": "invalid_query"}, **problem)
    assert (await shadowed.world.get(f"{LIST}?color=red")).status_code == 400
    await shadowed.settle()
    assert shadowed.counted() == {"pairs": 1, "mismatches": 0, "visibility": 0}
    shadowed.scripts["service"] = lambda request: reply(200, {"items": [], "next": None})
    await shadowed.world.get(f"{LIST}?color=red")
    await shadowed.settle()
    assert shadowed.counted() == {"pairs": 2, "mismatches": 1, "visibility": 0}


@staged(at(Stage.SHADOW))
async def test_the_same_condition_is_put_to_both(shadowed: Shadowed) -> None:
    shadowed.world.scripts["legacy"] = rows(task())
    shadowed.scripts["service"] = lambda request: reply(304, b"", etag=ETAG)
    answer = await shadowed.world.get(ITEM, **{"if-none-match": ETAG})
    await shadowed.settle()
    assert answer.status_code == 304
    assert shadowed.asked["service"][0].headers["if-none-match"] == ETAG
    assert shadowed.counted() == {"pairs": 1, "mismatches": 0, "visibility": 0}


@staged(at(Stage.SHADOW))
async def test_only_gets_are_asked_again(shadowed: Shadowed) -> None:
    shadowed.world.scripts["legacy"] = rows(task())
    headers = {"authorization": "Bearer compliance"}
    await shadowed.world.client.head(ITEM, headers=headers)
    await shadowed.world.send("POST", LIST, {"title": "t", "task_type": "identity_check"})
    await shadowed.world.send("DELETE", ITEM)
    await shadowed.settle()
    assert shadowed.asked == {"legacy": [], "service": []}
    assert shadowed.store.counts == {}


@staged(at(Stage.LEGACY), at(Stage.RAMP_DOWN), at(Stage.COMPLETE))
async def test_stages_that_compare_nothing(shadowed: Shadowed) -> None:
    shadowed.world.scripts |= {"legacy": rows(task()), "service": rows()}
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.asked == {"legacy": [], "service": []}


# --- live: the other way round


def live_row(shadowed: Shadowed, **changed: Any) -> Callable[[], Any]:
    async def ask() -> httpx.Response:
        shadowed.world.scripts["service"] = lambda request: reply(
            200, BODY, **{"content-type": "application/json", "etag": ETAG}
        )
        shadowed.scripts["legacy"] = rows(task(**changed))
        answer = await shadowed.world.get(ITEM)
        await shadowed.settle()
        return answer

    return ask


BODY = json.dumps(
    {
        "id": ROW, "submission_id": None, "task_type": "identity_check", "status": "completed", "title": "t",
        "description": None, "is_blocking": False, "priority": 3, "assignee_id": None, "due_at": None,
        "completed_at": None, "completed_by": None, "metadata": {}, "created_at": "2024-01-01T00:00:00+00:00",
        "updated_at": "2024-01-02T00:00:00+00:00",
    }
).encode()  # fmt: skip


@staged(at(Stage.LIVE))
async def test_at_live_legacy_is_asked_behind_the_service(shadowed: Shadowed) -> None:
    answer = await live_row(shadowed)()
    assert answer.content == BODY
    assert shadowed.counted() == {"pairs": 1, "mismatches": 0, "visibility": 0}
    [asked] = shadowed.asked["legacy"]
    assert asked.headers["apikey"] == "sb_publishable_x"
    assert asked.headers["authorization"] == "Bearer clinician"
    [count] = shadowed.store.counts.values()
    assert (count.candidate, count.route) == ("legacy", "/v2/compliance/{key}")
    assert shadowed.world.records.lines[-1]["side"] == "legacy"


@staged(at(Stage.LIVE))
async def test_at_live_a_difference_is_told_as_well(shadowed: Shadowed) -> None:
    await live_row(shadowed, title="another")()
    assert shadowed.counted() == {"pairs": 1, "mismatches": 1, "visibility": 0}


@staged(at(Stage.LIVE))
async def test_who_was_answered_by_the_other_side_compares_nothing(shadowed: Shadowed) -> None:
    shadowed.world.scripts |= {"service": status(500), "legacy": rows(task())}
    assert (await shadowed.world.get(ITEM)).status_code == 200
    await shadowed.settle()
    assert shadowed.asked["legacy"] == []
    assert shadowed.counted()["fell_back"] == 1


# --- lag


@staged(at(Stage.SHADOW))
async def test_a_young_row_is_read_once_more_and_never_a_match(shadowed: Shadowed) -> None:
    answer = await first(shadowed, updated_at=seconds_ago(0.1))
    old = row_of(answer, title="before")
    new = row_of(answer)
    answers = [old, new]

    def behind(request: httpx.Request) -> httpx.Response:
        play = answers.pop(0)
        assert not isinstance(play, Trouble)
        return play(request)

    shadowed.scripts |= {"service": behind, "legacy": shadowed.world.scripts["legacy"]}
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.counted() == {"pairs": 0, "mismatches": 0, "visibility": 0, "lag": 1}
    assert len(shadowed.asked["legacy"]) == 1
    assert answers == []


@staged(at(Stage.SHADOW))
async def test_what_still_differs_when_the_window_has_passed_is_a_mismatch(
    shadowed: Shadowed,
) -> None:
    answer = await first(shadowed, updated_at=seconds_ago(0.1))
    shadowed.scripts |= {
        "service": row_of(answer, title="before"),
        "legacy": shadowed.world.scripts["legacy"],
    }
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.counted() == {"pairs": 1, "mismatches": 1, "visibility": 0}
    assert shadowed.store.examples[0].field == "title"


@staged(at(Stage.SHADOW))
async def test_a_row_that_is_written_all_the_time_says_nothing(shadowed: Shadowed) -> None:
    answer = await first(shadowed, updated_at=seconds_ago(0.1))

    def hot(request: httpx.Request) -> httpx.Response:
        return reply(200, [task(updated_at=seconds_ago(0.0), title=seconds_ago(0.0))])

    shadowed.scripts |= {"service": row_of(answer, title="before"), "legacy": hot}
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.counted() == {"pairs": 0, "mismatches": 0, "visibility": 0, "lag": 1}


@staged(at(Stage.SHADOW))
async def test_a_row_that_only_one_side_shows_twice_is_an_alarm(shadowed: Shadowed) -> None:
    problem = {"content-type": "application/problem+json"}
    shadowed.world.scripts["legacy"] = shadowed.scripts["legacy"] = rows(task())
    shadowed.scripts["service"] = lambda request: reply(404, {"code": "not_found"}, **problem)
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.counted() == {"pairs": 1, "mismatches": 1, "visibility": 1}
    assert len(shadowed.asked["service"]) == 2
    assert shadowed.store.rung == ["compliance_tasks"]
    await shadowed.keeping.store()
    assert shadowed.store.rung == ["compliance_tasks"]


@staged(at(Stage.SHADOW))
async def test_a_side_that_fails_the_second_time_says_nothing(shadowed: Shadowed) -> None:
    answer = await first(shadowed, updated_at=seconds_ago(0.1))
    shadowed.scripts |= {"service": row_of(answer, title="before"), "legacy": Trouble.RESET}
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.counted() == {"pairs": 0, "mismatches": 0, "visibility": 0, "lag": 1}
    assert (shadowed.room.pairs, shadowed.room.bytes) == (0, 0)


# --- noise


@staged(at(Stage.SHADOW))
async def test_noise_is_what_legacy_says_against_itself(shadowed: Shadowed) -> None:
    shadowed.scripts["service"] = told(await first(shadowed))
    shadowed.scripts["legacy"] = rows(task(title="another"))
    shadowed.reads.noise_share = 1.0
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.counted() == {"pairs": 1, "mismatches": 0, "visibility": 0}
    assert shadowed.counted(noise=True) == {"pairs": 1, "mismatches": 1, "visibility": 0}
    assert {(one.noise, one.field) for one in shadowed.store.examples} == {(True, "title")}


@staged(at(Stage.LIVE))
async def test_noise_at_live_is_what_legacy_says_twice(shadowed: Shadowed) -> None:
    shadowed.reads.noise_share = 1.0
    await live_row(shadowed)()
    assert len(shadowed.asked["legacy"]) == 2
    assert shadowed.counted(noise=True) == {"pairs": 1, "mismatches": 0, "visibility": 0}


# --- bounds


@staged(at(Stage.SHADOW))
async def test_what_is_too_much_is_shed_and_counted(shadowed: Shadowed) -> None:
    shadowed.world.scripts["legacy"] = rows(task())
    shadowed.scripts["service"] = Trouble.SILENCE
    for _ in range(12):
        assert (await shadowed.world.get(ITEM)).status_code == 200
        assert shadowed.room.pairs <= 8
    await shadowed.settle()
    assert shadowed.metric("banyan_shadow_shed_total") == {'{reason="in_flight"}': 4}
    assert shadowed.counted()["candidate_failed"] == 8


@staged(at(Stage.SHADOW))
async def test_while_callers_are_refused_nothing_is_asked_behind(shadowed: Shadowed) -> None:
    shadowed.world.scripts["legacy"] = rows(task())
    shadowed.world.app.deps.overload.shedding.share = 0.01
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.asked["service"] == []
    assert shadowed.metric("banyan_shadow_shed_total") == {'{reason="overload"}': 1}


@staged(at(Stage.SHADOW))
@pytest.mark.parametrize(
    ("room", "dies", "reason"), [(False, False, "comparator"), (True, True, "comparator_died")]
)
async def test_a_comparator_without_room_or_life(
    shadowed: Shadowed, *, room: bool, dies: bool, reason: str
) -> None:
    shadowed.scripts["service"] = row_of(await first(shadowed), title="other")
    shadowed.comparator.room, shadowed.comparator.dies = room, dies
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.metric("banyan_shadow_shed_total") == {f'{{reason="{reason}"}}': 1}
    assert shadowed.store.counts == {} or shadowed.counted()["pairs"] == 0
    assert (shadowed.room.pairs, shadowed.room.bytes) == (0, 0)


@staged(at(Stage.SHADOW))
async def test_a_sample_is_told_from_the_correlation_id(shadowed: Shadowed) -> None:
    shadowed.scripts["service"] = told(await first(shadowed))
    shadowed.reads.share = 0.5
    ids = [f"sample-{number:04}" for number in range(45)]
    for _ in range(2):
        for number, one in enumerate(ids):
            await shadowed.world.get(ITEM, **{"x-correlation-id": one})
            if number % 5 == 4:  # or the room would be full
                await shadowed.settle()
    await shadowed.settle()
    asked = [one.headers["x-correlation-id"] for one in shadowed.asked["service"]]
    assert 10 < len(set(asked)) < 40
    assert all(asked.count(one) == 2 for one in asked)


@staged(at(Stage.SHADOW))
async def test_what_a_store_did_not_take_is_stored_later(shadowed: Shadowed) -> None:
    shadowed.scripts["service"] = row_of(await first(shadowed), title="other")
    shadowed.store.works = False
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert (shadowed.store.counts, shadowed.store.examples) == ({}, [])
    shadowed.store.works = True
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    await shadowed.keeping.store()
    assert shadowed.counted() == {"pairs": 2, "mismatches": 2, "visibility": 0}
    assert len({one.id for one in shadowed.store.examples}) == len(shadowed.store.examples) == 2


@staged(at(Stage.SHADOW))
async def test_an_example_that_the_store_refuses_holds_up_nothing(shadowed: Shadowed) -> None:
    shadowed.scripts["service"] = row_of(await first(shadowed), title="other")
    shadowed.store.takes_examples = False
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.counted()["mismatches"] == 1
    assert shadowed.metric("banyan_shadow_evidence_dropped_total") == {"": 1}
    shadowed.store.takes_examples = True
    await shadowed.keeping.store()
    assert shadowed.store.examples == []


@staged(at(Stage.SHADOW))
async def test_times_of_both_sides_are_counted(shadowed: Shadowed) -> None:
    shadowed.scripts["service"] = told(await first(shadowed))
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    [count] = shadowed.store.counts.values()
    assert sum(count.document["primary"]) == sum(count.document["candidate"]) == 1
    labels = '_count{route="/v2/compliance/{key}",side="service"}'
    assert shadowed.metric("banyan_shadow_read_seconds")[labels] == 1


@staged(at(Stage.SHADOW))
async def test_a_mistake_of_ours_costs_a_pair_and_not_its_room(
    shadowed: Shadowed, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadowed.scripts["service"] = row_of(await first(shadowed), title="other")

    def fail(*_: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(shadowed.comparator, "submit", fail)
    with structlog.testing.capture_logs() as logs:
        assert (await shadowed.world.get(ITEM)).status_code == 200
        await shadowed.settle()
    assert [one["event"] for one in logs] == ["shadow.failed"]
    assert shadowed.metric("banyan_shadow_shed_total") == {'{reason="failed"}': 1}
    assert (shadowed.room.pairs, shadowed.room.bytes) == (0, 0)


@staged(at(Stage.SHADOW))
async def test_a_candidate_with_endless_paths_fills_no_memory_and_no_table(
    shadowed: Shadowed,
) -> None:
    deep: Any = 1
    for _ in range(25):
        deep = {"m": deep}
    answer = await first(shadowed, metadata={"a": deep, "b": list(range(400))})
    other = json.loads(json.dumps(answer.json()["metadata"]).replace("1}", "2}"))
    shadowed.scripts["service"] = row_of(answer, metadata={**other, "b": list(range(1, 401))})
    await shadowed.world.get(ITEM)
    await shadowed.settle()
    assert shadowed.counted()["mismatches"] == 1
    assert 1 < len(shadowed.store.examples) <= 32
    assert max(len(one.path) for one in shadowed.store.examples) <= 500
