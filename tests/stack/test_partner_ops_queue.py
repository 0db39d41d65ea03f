"""The label queue: one printer at a time, however many race; what a dead printer leaves is taken over."""

import asyncio
import random
from collections import Counter
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from catalog.service import Service
from sandbox.seed.people import PARTNER_A
from tests.writing_world import COMPLIANCE, PARTNER, World, code, fields, outbox

pytestmark = pytest.mark.stack

FIRST = 5_000_001


@pytest.fixture
def world(writing_world: World) -> World:
    return writing_world


async def queue(world: World, count: int) -> list[int]:
    """Labels of the partner, queued as a user's write; each with its event."""
    await world.owner.execute(
        "insert into partner_ops.label (id, partner_id, site_code, kind, payload, status, attempts)"
        " select n, $1, 'S', 'shipping', '{}', 'queued', 0 from generate_series($2::bigint, $2 + $3 - 1) n",
        PARTNER_A,
        FIRST,
        count,
    )
    return list(range(FIRST, FIRST + count))


async def do(
    world: World, word: str, label: int, printer: str = "p1", *, user: str = PARTNER, **members: Any
) -> httpx.Response:
    body = {"printer": printer, **members}
    return await world.send(
        Service.PARTNER_OPS, "POST", f"/partner/labels/{label}/{word}", user, body=body
    )


async def let_it_run_out(world: World, label: int) -> None:
    """The lease of a printer that died: as if it had been taken long ago. Stamps stay, it is no write of anybody's."""
    async with world.owner.transaction():
        await world.owner.execute("select set_config('banyan.apply', 'on', true)")
        await world.owner.execute(
            "update partner_ops.label set claimed_until = now() - interval '1 second' where id = $1",
            label,
        )


async def stored(world: World, label: int) -> asyncpg.Record:
    found = await world.owner.fetchrow("select * from partner_ops.label where id = $1", label)
    assert found is not None
    return found


async def test_a_label_is_claimed_and_printed(world: World) -> None:
    (label,) = await queue(world, 1)
    claimed = await do(world, "claim", label, lease_seconds=60)
    assert claimed.status_code == 200
    row = claimed.json()
    assert (row["status"], row["attempts"], row["claimed_by"]) == ("printing", 1, "p1")
    left = await world.owner.fetchval(
        "select claimed_until - updated_at from partner_ops.label where id = $1", label
    )
    assert 58 < left.total_seconds() <= 60
    printed = await do(world, "printed", label)
    row = printed.json()
    assert (row["status"], row["claimed_by"], row["claimed_until"]) == ("printed", "p1", None)
    assert row["printed_at"]
    assert printed.headers["etag"] != claimed.headers["etag"]
    again = await do(world, "printed", label)
    assert (again.status_code, again.json()) == (200, row)
    kinds = [
        event["event_type"] for event in await outbox(world, "partner_ops", "partner_label_queue")
    ]
    assert [kind.rpartition(".")[2] for kind in kinds] == ["created", "updated", "updated"]
    for word, members in (("claim", {}), ("failed", {"error": "E"})):
        refused = await do(world, word, label, **members)
        assert (code(refused), refused.json()["legal"]) == ((409, "illegal_transition"), [])
    other = await do(world, "printed", label, "p2")
    assert code(other) == (409, "illegal_transition")


async def test_while_one_has_it_no_other_gets_it(world: World) -> None:
    (label,) = await queue(world, 1)
    await do(world, "claim", label, lease_seconds=60)
    for word, members in (("claim", {}), ("printed", {}), ("failed", {"error": "E"})):
        refused = await do(world, word, label, "p2", **members)
        assert code(refused) == (409, "claimed")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
    longer = await do(world, "claim", label, lease_seconds=600)
    assert (longer.json()["attempts"], longer.json()["claimed_by"]) == (1, "p1")


async def test_told_to_come_back_a_printer_comes_back_with_the_same_key(world: World) -> None:
    """A claim of somebody else says nothing about this one: it is not remembered."""
    (label,) = await queue(world, 1)
    await do(world, "claim", label)
    path, body = f"/partner/labels/{label}/claim", {"printer": "p2"}
    first = await world.send(Service.PARTNER_OPS, "POST", path, PARTNER, body=body, key="k")
    assert code(first) == (409, "claimed")
    await let_it_run_out(world, label)
    again = await world.send(Service.PARTNER_OPS, "POST", path, PARTNER, body=body, key="k")
    assert again.json()["claimed_by"] == "p2"


async def test_what_a_dead_printer_left_is_taken_over(world: World) -> None:
    (label,) = await queue(world, 1)
    await do(world, "claim", label)
    await let_it_run_out(world, label)
    early = await do(world, "printed", label, "p2")
    assert code(early) == (409, "not_claimed")
    taken = await do(world, "claim", label, "p2")
    assert (taken.json()["claimed_by"], taken.json()["attempts"]) == ("p2", 2)
    late = await do(world, "printed", label, "p1")
    assert code(late) == (409, "claimed")
    assert (await do(world, "printed", label, "p2")).status_code == 200


async def test_a_slow_printer_that_nobody_took_over_from_may_still_say_it_is_done(
    world: World,
) -> None:
    (label,) = await queue(world, 1)
    await do(world, "claim", label)
    await let_it_run_out(world, label)
    assert (await do(world, "printed", label)).json()["status"] == "printed"


async def test_a_failure_goes_back_to_the_queue_five_times(world: World) -> None:
    (label,) = await queue(world, 1)
    assert code(await do(world, "failed", label, error="E")) == (409, "not_claimed")
    seen = []
    for number in range(5):
        assert (await do(world, "claim", label, f"p{number}")).status_code == 200
        row = (await do(world, "failed", label, f"p{number}", error=f"jam {number}")).json()
        assert (row["claimed_by"], row["claimed_until"]) == (None, None)
        seen.append((row["status"], row["attempts"], row["last_error"]))
    assert seen == [
        *(("queued", number + 1, f"jam {number}") for number in range(4)),
        ("failed", 5, "jam 4"),
    ]
    assert code(await do(world, "claim", label)) == (409, "illegal_transition")
    back = await world.send(
        Service.PARTNER_OPS, "PATCH", f"/partner/labels/{label}", PARTNER, body={"status": "queued"}
    )
    assert back.json()["status"] == "queued"
    assert (await do(world, "claim", label)).json()["attempts"] == 6


async def test_what_cannot_be_printed_at_all_fails_at_once(world: World) -> None:
    (label,) = await queue(world, 1)
    await do(world, "claim", label)
    row = (await do(world, "failed", label, error="no such format", retry=False)).json()
    assert (row["status"], row["attempts"]) == ("failed", 1)


async def test_what_legacy_prints_without_an_end_is_put_back_by_a_person(world: World) -> None:
    (label,) = await queue(world, 1)
    await world.owner.execute("update partner_ops.label set status = 'printing', claimed_by = null")
    refused = await do(world, "claim", label)
    assert (code(refused), "queued" in refused.json()["legal"]) == (
        (409, "illegal_transition"),
        True,
    )
    assert code(await do(world, "printed", label)) == (409, "not_claimed")


async def test_a_partner_has_its_own_labels(world: World) -> None:
    (label,) = await queue(world, 1)
    assert code(await do(world, "claim", label, user="partner-b")) == (404, "not_found")
    assert code(await do(world, "claim", label, user=COMPLIANCE)) == (403, "forbidden")
    assert code(await do(world, "claim", label, user="patient")) == (404, "not_found")
    assert (await stored(world, label))["status"] == "queued"


@pytest.mark.parametrize(
    ("word", "body", "refused"),
    [
        ("claim", {}, {"printer": "required"}),
        ("claim", {"printer": ""}, {"printer": "empty_or_too_long"}),
        ("claim", {"printer": "p" * 101}, {"printer": "empty_or_too_long"}),
        ("claim", {"printer": "p", "lease_seconds": 9}, {"lease_seconds": "below_the_least"}),
        ("failed", {"printer": "p"}, {"error": "required"}),
        ("printed", {"printer": "p", "at": "now"}, {"at": "unknown_field"}),
    ],
)
async def test_what_is_not_understood(
    world: World, word: str, body: dict[str, Any], refused: dict[str, str]
) -> None:
    found = await world.send(
        Service.PARTNER_OPS, "POST", f"/partner/labels/{FIRST}/{word}", PARTNER, body=body
    )
    assert (code(found), fields(found)) == ((422, "invalid_fields"), refused)


async def test_twenty_printers_empty_the_queue_and_no_two_have_one_label(world: World) -> None:
    labels = await queue(world, 200)
    at_work: dict[int, str] = {}
    jammed: set[int] = set()
    prints: Counter[int] = Counter()

    async def work(printer: str) -> None:
        draw = random.Random(printer)
        mine = labels.copy()
        draw.shuffle(mine)
        for label in mine:
            if prints[label]:
                continue
            claimed = await do(world, "claim", label, printer)
            if claimed.status_code != 200:
                assert code(claimed)[1] in ("claimed", "illegal_transition")
                continue
            assert label not in at_work
            at_work[label] = printer
            await asyncio.sleep(0)
            if label not in jammed and draw.random() < 0.1:
                jammed.add(label)
                del at_work[label]
                assert (await do(world, "failed", label, printer, error="jam")).status_code == 200
                mine.append(label)
                continue
            prints[label] += 1
            del at_work[label]
            assert (await do(world, "printed", label, printer)).json()["status"] == "printed"

    await asyncio.gather(*(work(f"printer-{number}") for number in range(20)))
    assert prints == Counter(labels)
    left = await world.owner.fetch(
        "select status::text, count(*) from partner_ops.label where id = any($1) group by 1", labels
    )
    assert [tuple(row) for row in left] == [("printed", 200)]


async def test_of_many_that_claim_one_label_at_once_one_gets_it(world: World) -> None:
    (label,) = await queue(world, 1)
    for round_ in range(5):
        found = await asyncio.gather(
            *(do(world, "claim", label, f"{round_}-{number}-{uuid4()}") for number in range(20))
        )
        assert sorted(one.status_code for one in found) == [200, *[409] * 19]
        assert (await stored(world, label))["attempts"] == round_ + 1
        await let_it_run_out(world, label)
