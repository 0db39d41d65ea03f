"""Federated lists: nothing missing, doubled or stale, whatever was copied, changed, hidden or deleted on either side."""

import random
from dataclasses import replace
from uuid import UUID

import pytest

from gateway.disagreement import Disagreement
from gateway.federate import federate
from gateway.page import Page
from gateway.rows import Row, text_of
from routes.cursor import Position
from routes.match import match
from routes.query import ListQuery, parse_list
from tests.fakes.two_worlds import Side, Stored, TwoWorlds, key_of, raw

pytestmark = pytest.mark.unit

KEY = b"k" * 32
ORDERS = (
    "-created_at",
    "created_at",
    "due_at",
    "-due_at,created_at",
    "priority,-due_at",
    "-id",
    "id",
)
FILTERS = (
    "",
    "priority=2",
    "priority[gte]=2",
    "due_at[is]=not_null",
    "priority[ne]=1&due_at[is]=null",
)


def compliance(text: str) -> ListQuery:
    found = match(b"/v2/compliance")
    assert found is not None
    return parse_list(found.resource, text.encode(), staff=True, parent=None, cursor_key=KEY)


def some_row(dice: random.Random, id_: str, version: str) -> Stored:
    """Few distinct values, so that ties are everywhere; `title` says which side's version it is."""
    values = {
        "id": id_,
        "priority": str(dice.randint(1, 3)),
        "due_at": dice.choice(
            [None, None, "2024-03-01T00:00:00+00:00", "2024-03-02T00:00:00.5+00:00"]
        ),
        "created_at": f"2024-01-0{dice.randint(1, 4)}T00:00:00+00:00",
        "title": version,
    }
    return Stored(values=values, visible=dice.random() < 0.9)


def random_world(seed: int) -> TwoWorlds:
    dice = random.Random(seed)
    order, conditions = dice.choice(ORDERS), dice.choice(FILTERS)
    query = compliance(
        "&".join(filter(None, [conditions, f"order={order}", f"limit={dice.randint(1, 9)}"]))
    )
    legacy, service = Side(), Side()
    migrated, stale, deleted = dice.random(), dice.random(), dice.random() * 0.3
    for number in range(dice.randint(0, 60)):
        id_ = str(UUID(int=dice.getrandbits(128), version=4))
        key, current = (id_,), some_row(dice, id_, "current")
        if dice.random() >= migrated:
            legacy.rows[key] = current
        elif dice.random() < deleted:
            service.tombstones.add(key)
            legacy.rows[key] = some_row(dice, id_, "stale")
        else:
            service.rows[key] = current
            if number % 5:
                legacy.rows[key] = (
                    some_row(dice, id_, "stale") if dice.random() < stale else current
                )
    return TwoWorlds(
        legacy=legacy,
        service=service,
        query=query,
        dice=dice,
        backfill_chance=dice.choice([0.0, 0.3, 1.0]),
    )


@pytest.mark.parametrize("batch", range(10))
async def test_random_walks_show_the_truth(batch: int) -> None:
    for seed in range(batch * 50, batch * 50 + 50):
        world = random_world(seed)
        start, expected = world.query, world.truth()
        seen: list[tuple[str, ...]] = []
        for _ in range(200):
            merged = await federate(world.query, world.legacy_page, world.service_page)
            seen += [key_of(_texts(row), start) for row in merged.rows]
            assert all(_texts(row)["title"] == "current" for row in merged.rows), seed
            assert len(merged.rows) <= start.limit
            if merged.end is None:
                break
            world.query = replace(start, after=merged.end)
        world.query = start
        assert seen == expected == world.truth(), seed


def _texts(row: Row) -> dict[str, str | None]:
    return {name: text_of(value) for name, value in row.items()}


async def test_a_long_run_of_known_rows_ends_in_a_short_page_that_goes_on() -> None:
    query = compliance("order=id&limit=1")
    dice = random.Random(1)
    ids = [str(UUID(int=n)) for n in range(60)]
    legacy = Side(rows={(i,): Stored(values={**some_row(dice, i, "stale").values}) for i in ids})
    service = Side(tombstones={(i,) for i in ids[:-1]})
    world = TwoWorlds(legacy=legacy, service=service, query=query, dice=dice)
    first = await federate(query, world.legacy_page, world.service_page)
    assert first.rows == []
    assert first.end is not None
    assert world.calls == 40
    pages = 1
    end: Position | None = first.end
    rows: list[Row] = []
    while end is not None:
        world.query = replace(query, after=end)
        merged = await federate(world.query, world.legacy_page, world.service_page)
        rows += merged.rows
        end = merged.end
        pages += 1
    assert [_texts(row)["id"] for row in rows] == [ids[-1]]
    assert pages < 10


@pytest.mark.parametrize("bad", ["disorder", "before the cursor", "empty but more"])
async def test_a_side_that_breaks_the_order_is_not_answered_from(bad: str) -> None:
    query = compliance("order=id&limit=5")
    dice = random.Random(1)
    rows = [raw(some_row(dice, str(UUID(int=n)), "current").values, query) for n in (3, 2, 1)]
    if bad == "before the cursor":
        query = replace(query, after=(str(UUID(int=9)),))
        rows = rows[:1]

    async def legacy_page(_: ListQuery) -> Page:
        return Page(rows=[], done=False) if bad == "empty but more" else Page(rows=rows, done=True)

    async def service_page(_: object) -> Page:
        return Page(rows=[], done=True, known=(False,) * len(rows))

    with pytest.raises(Disagreement):
        await federate(query, legacy_page, service_page)


async def test_partitions_of_both_sides_stand_in_one_list() -> None:
    query = compliance("order=id&limit=3")
    values = [
        {**some_row(random.Random(n), str(UUID(int=n)), "x").values, "task_type": kind}
        for n, kind in enumerate(["identity_check", "follow_up_call"] * 5)
    ]
    legacy = Side(rows={(str(v["id"]),): Stored(values=v) for v in values})
    service = Side(rows={(str(v["id"]),): Stored(values={**v, "title": "service"}) for v in values})
    world = TwoWorlds(legacy=legacy, service=service, query=query, dice=random.Random(1))
    moved = compliance("order=id&limit=3&task_type[in]=identity_check")

    async def service_page(keys: object) -> Page:
        world.query = replace(moved, after=query.after)
        return await world.service_page(keys)  # type: ignore[arg-type]

    seen: list[tuple[str | None, str | None]] = []
    while True:
        merged = await federate(
            query,
            world.legacy_page,
            service_page,
            keep_known=lambda row: _texts(row)["task_type"] == "follow_up_call",
        )
        seen += [(_texts(row)["id"], _texts(row)["title"]) for row in merged.rows]
        if merged.end is None:
            break
        query = replace(query, after=merged.end)
    expected = [(v["id"], "service" if v["task_type"] == "identity_check" else "x") for v in values]
    assert seen == expected
