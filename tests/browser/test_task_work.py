"""Working on compliance tasks in a real browser: the version that is shown, the ways that the service allows."""

from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Locator, Route, ViewportSize, expect

from runtime.stack import Stack
from sandbox.seed.people import BY_NAME
from tests.browser.caller import Caller
from tests.browser.conftest import Visits
from tests.browser.ramp import ramped
from tests.browser.visit import Visit

pytestmark = pytest.mark.browser

TASKS = "/v2/compliance"
OFFICER = BY_NAME["compliance"].id
PHONE, DESK = 390, 1280
SERVICE = "via new service (live)"
CHANGED = "Somebody else has changed this task, so your move was not made."


@pytest.fixture(scope="module")
def world(written_world: Stack) -> Stack:
    return written_world


async def test_an_officer_asks_for_the_own_tasks(visit: Visit, world: Stack):
    own = await task(world, assignee_id=str(OFFICER))
    other = await task(world)
    await visit.sign_in("compliance")
    await visit.panel("compliance").get_by_label("mine only").check()
    await visit.settled("compliance")
    asked = visit.asked(TASKS)[-1].url
    assert f"assignee_id={OFFICER}" in asked
    await show_last(visit)
    await expect(row(visit, own)).to_have_count(1)
    await expect(row(visit, other)).to_have_count(0)


async def test_nobody_else_is_offered_it(visit: Visit, world: Stack):
    await task(world)
    await visit.sign_in("clinician")
    panel = visit.panel("compliance")
    await expect(panel.get_by_label("mine only")).to_be_hidden()
    await panel.locator(".row-head").first.click()
    await expect(panel.locator(".fresh")).to_be_visible()
    await expect(panel.get_by_role("form", name="Work on this task")).to_have_count(0)


@pytest.mark.parametrize("width", [PHONE, DESK])
async def test_a_task_is_moved_through_its_states(visits: Visits, world: Stack, width: int):
    made = await task(world)
    async with visits(ViewportSize(width=width, height=844)) as visit:
        await visit.sign_in("compliance")
        await opened(visit, made)
        assert await visit.nameless() == []
        for state in ("in progress", "blocked", "open", "completed"):
            await move(visit, made, state)
            await expect(row(visit, made).locator(".pill")).to_have_text(state)
            await expect(row(visit, made).locator(".fresh")).to_have_text(f"Moved to {state}.")
            await expect(row(visit, made).locator(".fresh")).to_be_focused()
            await expect(visit.page.locator("#announcer")).to_have_text(f"Moved to {state}.")
            assert await visit.scroll_width() == width
        for patch in visit.sent("PATCH", f"{TASKS}/{made['id']}"):
            assert "if-match" in await patch.all_headers()
        now = await now_of(world, made)
        assert (now["status"], now["completed_by"]) == ("completed", str(OFFICER))


async def test_the_keyboard_alone_moves_a_task(visit: Visit, world: Stack):
    made = await task(world)
    await visit.sign_in("compliance")
    await opened(visit, made)
    choice = work(visit, made).get_by_label("Move to")
    await choice.focus()
    await visit.page.keyboard.press("ArrowDown")
    await visit.page.keyboard.press("Tab")
    await visit.page.keyboard.press("Enter")
    await expect(row(visit, made).locator(".pill")).to_have_text("blocked")


async def test_a_task_that_somebody_else_changed_is_shown_as_it_is(visit: Visit, world: Stack):
    assignee = "clinician"
    made = await task(world, assignee_id=str(BY_NAME[assignee].id))
    await visit.sign_in("compliance")
    await opened(visit, made)
    await Caller(world=world, name=assignee).done(
        "PATCH", f"{TASKS}/{made['id']}", {"status": "blocked"}
    )
    await move(visit, made, "completed")
    await expect(row(visit, made).locator(".fresh")).to_contain_text(CHANGED)
    await expect(row(visit, made).locator(".pill")).to_have_text("blocked")
    await expect(visit.page.locator("#announcer")).to_contain_text(CHANGED)
    assert (await now_of(world, made))["status"] == "blocked"
    visit.forgive(412)

    await move(visit, made, "open")
    await expect(row(visit, made).locator(".pill")).to_have_text("open")


@pytest.mark.parametrize("width", [PHONE, DESK])
async def test_a_way_that_is_none_shows_those_that_are(visits: Visits, world: Stack, width: int):
    # Somebody else than in the other tests: who wrote to a service does not read from legacy before the mirror has caught up.
    with ramped(world, "compliance-tasks", "live"):
        async with visits(ViewportSize(width=width, height=844)) as visit:
            await visit.sign_in("admin")
            await expect(visit.panel("compliance").locator(".badge")).to_have_text(SERVICE)
            made = await task(world, by="admin", status="in_progress")
            await opened(visit, made)
            await move(visit, made, "blocked")
            await expect(row(visit, made).locator(".pill")).to_have_text("blocked")
            await move(visit, made, "completed")
            ways = row(visit, made).get_by_role("alert")
            await expect(ways).to_contain_text("From blocked it can go to:")
            await expect(ways.get_by_role("button")).to_have_text(
                ["open", "in progress", "cancelled"]
            )
            await expect(ways.get_by_role("button").first).to_be_focused()
            assert await visit.scroll_width() == width
            visit.forgive(409)

            await ways.get_by_role("button", name="in progress").click()
            await expect(row(visit, made).locator(".pill")).to_have_text("in progress")
            await move(visit, made, "cancelled")
            await expect(row(visit, made).locator(".pill")).to_have_text("cancelled")
            await move(visit, made, "open")
            last = row(visit, made).get_by_role("alert")
            await expect(last).to_have_text("What is cancelled stays so.")
            await expect(last).to_be_focused()
            visit.forgive(409)


async def test_an_answer_that_is_lost_can_be_tried_again(visit: Visit, world: Stack):
    made = await task(world)
    await visit.sign_in("compliance")
    await opened(visit, made)
    path = f"{TASKS}/{made['id']}"
    await visit.page.route(f"**{path}", lose_the_answer)
    await move(visit, made, "in progress")
    await expect(row(visit, made).get_by_role("alert")).to_contain_text("cannot be reached")
    await visit.page.unroute(f"**{path}")
    await row(visit, made).get_by_role("button", name="Try again").click()
    # It was done: the version that the page knew is gone, and the page shows what there is.
    await expect(row(visit, made).locator(".pill")).to_have_text("in progress")
    assert [patch.post_data_json for patch in visit.sent("PATCH", path)] == [
        {"status": "in_progress"}
    ] * 2
    lost = [line for line in visit.complaints if "net::ERR_FAILED" in line]
    assert lost
    visit.complaints = [line for line in visit.complaints if line not in lost]
    visit.forgive(412)


# --- steps


async def task(world: Stack, by: str = "compliance", **members: object) -> dict[str, Any]:
    """A new one, without a date, so that it is not overdue."""
    body = {"task_type": "follow_up_call", "title": f"Task {uuid4().hex[:8]}", **members}
    return await Caller(world=world, name=by).done("POST", TASKS, body)


async def now_of(world: Stack, made: dict[str, Any]) -> dict[str, Any]:
    answer = await Caller(world=world, name="compliance").send("GET", f"{TASKS}/{made['id']}")
    found: dict[str, Any] = answer.json()
    return found


async def opened(visit: Visit, made: dict[str, Any]) -> None:
    """The details of this task, on the page of somebody who is signed in."""
    await visit.panel("compliance").get_by_role("button", name="Reload").click()
    await visit.settled("compliance")
    await show_last(visit)
    await row(visit, made).locator(".row-head").click()
    await expect(work(visit, made)).to_be_visible()


async def show_last(visit: Visit) -> None:
    """Every page of the list; tasks without a date are on the last one."""
    panel = visit.panel("compliance")
    more = panel.get_by_role("button", name="More")
    while await more.is_visible():
        count = await panel.locator(".row").count()
        await more.click()
        await expect(panel).to_have_attribute("aria-busy", "false")
        await expect(panel.locator(".row")).not_to_have_count(count)


async def move(visit: Visit, made: dict[str, Any], state: str) -> None:
    await work(visit, made).get_by_label("Move to").select_option(label=state)
    await work(visit, made).get_by_role("button", name="Move", exact=True).click()


def row(visit: Visit, made: dict[str, Any]) -> Locator:
    return visit.panel("compliance").locator(f".row[data-id='{made['id']}']")


def work(visit: Visit, made: dict[str, Any]) -> Locator:
    return row(visit, made).get_by_role("form", name="Work on this task")


async def lose_the_answer(route: Route) -> None:
    """The gateway does what it is asked, and the connection ends before anybody hears of it."""
    if route.request.method == "PATCH":
        assert (await route.fetch()).status == 200
        await route.abort()
    else:
        await route.continue_()
