"""Ordering a test in a real browser: made once, whatever happens on the way, and followed until the laboratory is done."""

import re
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest
from playwright.async_api import Locator, Request, Route, ViewportSize, expect

from runtime.stack import Stack
from tests.browser.caller import Caller
from tests.browser.conftest import Visits
from tests.browser.ramp import ramped
from tests.browser.visit import Visit
from tests.until import until_async

pytestmark = pytest.mark.browser

ORDERS = "/v2/lab-orders"
OFREP = "/ofrep/v1/evaluate/flags"
PHONE, DESK = 390, 1280
MINUTE_MS = 60_000
DOUBT = "It is not known whether this has happened."
LOST = {"code": "upstream_timeout", "title": "No answer in time", "detail": "Try again."}
IN_FLIGHT = {"code": "idempotency_in_flight", "title": "Still running", "detail": "Wait."}


@pytest.fixture(scope="module")
def world(written_world: Stack) -> Stack:
    return written_world


# --- the flow


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("stage", ["legacy", "live"])
async def test_an_order_is_made_and_followed_to_its_result(
    visits: Visits, world: Stack, width: int, stage: str
):
    with ramped(world, "lab-orders", stage):
        async with visits(ViewportSize(width=width, height=844)) as visit:
            await visit.page.clock.install()
            await visit.sign_in("clinician")
            code = await fill_in(visit)
            assert await visit.nameless() == []
            await press(visit)
            await expect(states(visit)).to_have_text([re.compile("ordered")])
            await expect(panel(visit).locator(".row-title").first).to_have_text(code)
            assert await visit.scroll_width() == width
            await expect(form(visit).get_by_label("Test code")).to_have_value("")

            [order] = await orders(world, code)
            clinician = Caller(world=world, name="clinician")
            for number, state in enumerate(("sent", "collected", "in_progress", "resulted"), 2):
                changes = {"status": state, "vendor": "northlab"}
                await clinician.done("PATCH", f"{ORDERS}/{order['id']}", changes)
                await visit.page.clock.fast_forward(MINUTE_MS)
                await expect(states(visit)).to_have_count(number)
                words = state.replace("_", " ")
                await expect(states(visit).last).to_contain_text(words)
                said = visit.page.locator("#announcer")
                await expect(said).to_have_text(f"Order {order['order_number']}: {words}.")
            polls = visit.asked(f"{ORDERS}/{order['id']}")
            for poll in polls:
                headers = await poll.all_headers()
                assert headers["prefer"] == "wait=20"
            assert "if-none-match" in await polls[-1].all_headers()
            await minutes_pass(visit)
            assert visit.asked(f"{ORDERS}/{order['id']}") == polls, "what is over is asked for"


async def test_a_hidden_page_does_not_ask(visit: Visit, world: Stack):
    await visit.page.clock.install()
    await visit.sign_in("clinician")
    code = await fill_in(visit)
    await press(visit)
    await expect(states(visit)).to_have_count(1)
    [order] = await orders(world, code)
    path = f"{ORDERS}/{order['id']}"
    await until_async(lambda: is_asked(visit, path, 1))
    await turn(visit, "hidden")
    # The one that is under way may still come to its end.
    await visit.page.clock.fast_forward(MINUTE_MS)
    before = len(visit.asked(path))
    await minutes_pass(visit)
    assert len(visit.asked(path)) <= before + 1
    before = len(visit.asked(path))
    await minutes_pass(visit)
    assert len(visit.asked(path)) == before
    await turn(visit, "visible")
    await until_async(lambda: is_asked(visit, path, before + 1))


async def test_only_clinicians_are_offered_it(visit: Visit):
    await visit.sign_in("patient")
    await expect(panel(visit).get_by_text("Order a test")).to_be_hidden()


async def test_the_same_once_more_is_another_order(visit: Visit, world: Stack):
    await visit.sign_in("clinician")
    code = await fill_in(visit)
    await press(visit)
    await expect(states(visit)).to_have_count(1)
    await fill_in(visit, code)
    await press(visit)
    await until_async(lambda: are_made(world, code, 2))
    first, second = [await key_of(one) for one in visit.sent("POST", ORDERS)]
    assert first != second


# --- once, whatever happens


async def test_an_unknown_outcome_is_tried_again_with_the_same_key(visit: Visit, world: Stack):
    await visit.sign_in("clinician")
    code = await fill_in(visit)
    await visit.page.route(f"**{ORDERS}", once(answer_lost(world)))
    await press(visit)
    await expect(form(visit).get_by_text(DOUBT)).to_be_visible()
    again = form(visit).get_by_role("button", name="Try again")
    await expect(again).to_be_focused()
    await expect(form(visit).get_by_label("Test code")).to_be_disabled()
    assert await visit.scroll_width() == 1280
    [(place, key)] = await kept(visit)
    assert UUID(key)
    assert code not in place

    await visit.page.keyboard.press("Enter")
    await expect(states(visit)).to_have_count(1)
    await expect(form(visit).get_by_label("Test code")).to_be_enabled()
    await expect(form(visit).get_by_role("button", name="Order", exact=True)).to_be_focused()
    await expect(form(visit).get_by_role("alert")).to_have_count(0)
    first, second = visit.sent("POST", ORDERS)
    assert [await key_of(first), await key_of(second)] == [f'"{key}"'] * 2
    assert first.post_data == second.post_data
    assert len(await orders(world, code)) == 1
    assert await kept(visit) == []
    visit.forgive(504)


async def test_the_order_button_is_no_way_around_an_open_outcome(visit: Visit, world: Stack):
    await visit.sign_in("clinician")
    code = await fill_in(visit)
    await visit.page.route(f"**{ORDERS}", once(answer_lost(world)))
    await press(visit)
    await expect(form(visit).get_by_text(DOUBT)).to_be_visible()
    await press(visit)
    await expect(states(visit)).to_have_count(1)
    first, second = [await key_of(one) for one in visit.sent("POST", ORDERS)]
    assert first == second
    assert len(await orders(world, code)) == 1
    visit.forgive(504)


async def test_a_reload_does_not_forget_an_open_order(visit: Visit, world: Stack):
    await visit.sign_in("clinician")
    code = await fill_in(visit)
    await visit.page.route(f"**{ORDERS}", once(answer_lost(world)))
    await press(visit)
    await expect(form(visit).get_by_text(DOUBT)).to_be_visible()
    await visit.page.reload()
    await visit.sign_in("clinician")
    await fill_in(visit, code)
    await press(visit)
    await expect(states(visit)).to_have_count(1)
    first, second = [await key_of(one) for one in visit.sent("POST", ORDERS)]
    assert first == second
    assert len(await orders(world, code)) == 1
    visit.forgive(504)


async def test_a_key_in_flight_is_asked_again_when_it_was_told(visit: Visit, world: Stack):
    await visit.page.clock.install()
    await visit.sign_in("clinician")
    code = await fill_in(visit)
    await visit.page.route(f"**{ORDERS}", once(answered(world, 409, IN_FLIGHT, retry_after=30)))
    await visit.page.clock.pause_at(await visit.page.evaluate("Date.now()") + 1000)
    await press(visit)
    await expect(form(visit).get_by_text("still being worked on")).to_be_visible()
    await visit.page.clock.run_for(29_000)
    assert len(visit.sent("POST", ORDERS)) == 1
    await visit.page.clock.run_for(1_001)
    await visit.page.clock.resume()
    await expect(states(visit)).to_have_count(1)
    first, second = [await key_of(one) for one in visit.sent("POST", ORDERS)]
    assert first == second
    assert len(await orders(world, code)) == 1
    visit.forgive(409)


async def test_without_a_network_the_order_waits(visit: Visit, world: Stack):
    await visit.sign_in("clinician")
    code = await fill_in(visit)
    await visit.page.context.set_offline(True)
    await press(visit)
    await expect(form(visit).get_by_role("alert")).to_contain_text("The gateway cannot be reached")
    await visit.page.context.set_offline(False)
    await form(visit).get_by_role("button", name="Try again").click()
    await expect(states(visit)).to_have_count(1)
    assert len(await orders(world, code)) == 1
    offline = [line for line in visit.complaints if "net::ERR_INTERNET_DISCONNECTED" in line]
    assert visit.complaints == offline
    visit.complaints.clear()


@pytest.mark.parametrize("width", [PHONE, DESK])
async def test_a_refused_field_is_named_beside_its_input(visits: Visits, world: Stack, width: int):
    async with visits(ViewportSize(width=width, height=844)) as visit:
        await visit.sign_in("clinician")
        code = await fill_in(visit)
        priority = form(visit).get_by_label("Priority")
        await priority.locator("option").last.evaluate("one => { one.value = '9' }")
        await priority.select_option("9")
        await press(visit)
        await expect(priority).to_be_focused()
        await expect(priority).to_have_attribute("aria-invalid", "true")
        described = await priority.get_attribute("aria-describedby")
        await expect(visit.page.locator(f"#{described}")).to_have_text("above the most")
        await expect(form(visit).get_by_role("alert")).to_contain_text("Correlation id")
        assert await visit.scroll_width() == width
        assert await kept(visit) == []
        visit.forgive(422)

        await priority.select_option("2")
        await press(visit)
        await expect(states(visit)).to_have_count(1)
        assert await priority.get_attribute("aria-invalid") is None
        [order] = await orders(world, code)
        assert order["priority"] == 2
        refused, made = [await key_of(one) for one in visit.sent("POST", ORDERS)]
        assert refused != made


async def test_signing_out_in_doubt_leaves_the_form_empty_and_keeps_the_key(
    visit: Visit, world: Stack
):
    await visit.sign_in("clinician")
    code = await fill_in(visit)
    await visit.page.route(f"**{ORDERS}", once(answer_lost(world)))
    await press(visit)
    await expect(form(visit).get_by_text(DOUBT)).to_be_visible()
    [(_, key)] = await kept(visit)
    await visit.sign_out()
    assert code not in await visit.page.locator("main").inner_text()
    await visit.sign_in("clinician-c")
    await fill_in(visit, code)
    await press(visit)
    await expect(states(visit)).to_have_count(1)
    other = await key_of(visit.sent("POST", ORDERS)[-1])
    assert other != f'"{key}"', "another user's order is another order"
    assert [one for _, one in await kept(visit)] == [key]
    visit.forgive(504)


# --- steps


def panel(visit: Visit) -> Locator:
    return visit.panel("lab orders")


def form(visit: Visit) -> Locator:
    return visit.page.get_by_role("form", name="Order a test")


def states(visit: Visit) -> Locator:
    return visit.page.locator("#followed .trail li")


async def fill_in(visit: Visit, code: str = "") -> str:
    """The form, for the same submission each time; returns the test's code."""
    code = code or f"T-{uuid4().hex[:8]}"
    if not await form(visit).is_visible():
        await panel(visit).get_by_text("Order a test").click()
    submission = form(visit).get_by_label("Submission")
    await expect(submission.locator("option").nth(1)).to_be_attached()
    await submission.select_option(index=1)
    await form(visit).get_by_label("Test code").fill(code)
    return code


async def press(visit: Visit) -> None:
    await form(visit).get_by_role("button", name="Order", exact=True).click()


async def orders(world: Stack, code: str) -> list[dict[str, object]]:
    return await Caller(world=world, name="clinician").rows(f"{ORDERS}?test_code={code}")


async def are_made(world: Stack, code: str, number: int) -> bool:
    return len(await orders(world, code)) == number


async def is_asked(visit: Visit, path: str, times: int) -> bool:
    return len(visit.asked(path)) >= times


async def key_of(request: Request) -> str:
    return (await request.all_headers())["idempotency-key"]


async def kept(visit: Visit) -> list[tuple[str, str]]:
    """What the tab keeps of attempts."""
    found: dict[str, str] = await visit.page.evaluate("({...sessionStorage})")
    return list(found.items())


async def minutes_pass(visit: Visit) -> None:
    """In the page. Its flags are asked for, so everything else had the time, too."""
    for _ in range(3):
        before = len(visit.asked(OFREP))
        await visit.page.clock.fast_forward(MINUTE_MS)
        await visit.page.evaluate("window.dispatchEvent(new Event('focus'))")
        await until_async(lambda: is_asked(visit, OFREP, before + 1))  # noqa: B023 - awaited here


async def turn(visit: Visit, state: str) -> None:
    """The page is hidden, or shown again."""
    await visit.page.evaluate(
        """(state) => {
            Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )


Handle = Callable[[Route], Awaitable[None]]


def once(handle: Handle) -> Handle:
    """The first POST meets `handle`; everything else goes through."""
    met = False

    async def handle_first(route: Route) -> None:
        nonlocal met
        if met or route.request.method != "POST":
            await route.continue_()
            return
        met = True
        await handle(route)

    return handle_first


def answer_lost(world: Stack) -> Handle:
    """The gateway does what it is asked, and nobody hears of it."""

    async def handle(route: Route) -> None:
        done = await route.fetch()
        assert done.status == 201
        await answered(world, 504, {**LOST, "outcome": "unknown"})(route)

    return handle


def answered(world: Stack, status: int, problem: dict[str, str], retry_after: int = 0) -> Handle:
    """An answer as the gateway gives it, which it was not asked for."""
    headers = {
        "access-control-allow-origin": world.urls["frontend"],
        "access-control-expose-headers": "Retry-After",
        "content-type": "application/problem+json",
    }
    if retry_after:
        headers["retry-after"] = str(retry_after)

    async def handle(route: Route) -> None:
        await route.fulfill(status=status, headers=headers, json=problem)

    return handle
