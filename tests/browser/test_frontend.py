"""The example frontend in a real browser over the whole sandbox: sign in, rows, flags that move a user without a reload."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import Locator, Page, Request, Response, Route, ViewportSize, expect

from runtime.stack import Stack
from tests.browser.conftest import Visits
from tests.browser.ramp import ramped, with_flag
from tests.browser.visit import PANELS, Visit
from tests.until import until_async

pytestmark = pytest.mark.browser

LISTS = {
    "lab orders": "/v2/lab-orders",
    "compliance": "/v2/compliance",
    "appointments": "/v2/appointments",
}
OFREP = "/ofrep/v1/evaluate/flags"
PAGE = 10
HOUR_MS = 3_600_000
LEGACY, LIVE = "via legacy", "via new service (live)"


# --- signing in and reading


@pytest.mark.parametrize("name", ["patient", "clinician"])
async def test_a_user_sees_the_rows_that_the_gateway_shows_them(visit: Visit, name: str):
    await visit.sign_in(name)
    for panel, path in LISTS.items():
        total = total_of(visit.world, name, path)
        await expect(visit.panel(panel).locator(".row")).to_have_count(min(total, PAGE))
        said = visit.panel(panel).locator(".empty" if total == 0 else ".count")
        await expect(said).to_have_text(
            re.compile(r"^There are no " if total == 0 else rf"\b{total}\b")
        )
    await expect(visit.page.locator("#who-email")).to_have_text(f"{name}@sandbox.example")


async def test_the_page_is_of_another_origin_so_cors_is_used(visit: Visit):
    await visit.sign_in("clinician")
    page, gateway = (urlsplit(visit.world.urls[name]) for name in ("frontend", "gateway"))
    assert page.netloc != gateway.netloc
    for path in (*LISTS.values(), OFREP):
        headers = await (await last_answer(visit, path)).all_headers()
        assert headers["access-control-allow-origin"] == visit.world.urls["frontend"]


async def test_more_goes_on_behind_the_last_row(visit: Visit):
    await visit.sign_in("clinician")
    panel = visit.panel("lab orders")
    assert total_of(visit.world, "clinician", LISTS["lab orders"]) > PAGE
    first = await ids_of(panel)
    await panel.get_by_role("button", name="More").click()
    await expect(panel.locator(".row")).not_to_have_count(PAGE)
    both = await ids_of(panel)
    assert both[:PAGE] == first
    assert len(set(both)) == len(both)


async def test_a_filter_asks_the_gateway(visit: Visit):
    await visit.sign_in("clinician")
    panel = visit.panel("lab orders")
    await panel.get_by_label("Status").select_option("resulted")
    await visit.settled("lab orders")
    total = total_of(visit.world, "clinician", LISTS["lab orders"], "status=resulted")
    assert total > 0
    await expect(panel.locator(".count")).to_have_text(re.compile(rf"\bof {total}\b"))
    assert set(await panel.locator(".pill").all_inner_texts()) == {"resulted"}


async def test_no_rows_is_said_in_words(visit: Visit):
    await visit.sign_in("patient")
    panel = visit.panel("lab orders")
    await panel.get_by_label("Order number").fill("-1")
    await visit.page.keyboard.press("Enter")
    await expect(panel.get_by_text("No lab orders fit these filters.")).to_be_visible()
    await expect(panel.locator(".row")).to_have_count(0)


async def test_details_are_asked_for_again_by_their_entity_tag(visit: Visit):
    await visit.sign_in("patient")
    row = visit.panel("lab orders").locator(".row").first
    head = row.get_by_role("button")
    await head.click()
    await expect(row.get_by_text("Read just now.")).to_be_visible()
    await expect(row.get_by_role("heading", name="Trail")).to_be_visible()
    path = f"{LISTS['lab orders']}/{await row.get_attribute('data-id')}"
    etag = (await (await last_answer(visit, path)).all_headers())["etag"]

    await head.click()
    await head.click()
    await expect(row.get_by_text("Asked again: unchanged.")).to_be_visible()
    again = await last_answer(visit, path)
    assert again.status == 304
    assert (await again.request.all_headers())["if-none-match"] == etag


# --- flags


async def test_a_flag_toggle_moves_the_panel_without_a_reload(visit: Visit):
    await visit.sign_in("clinician")
    panel = visit.panel("lab orders")
    await expect(panel.locator(".badge")).to_have_text(LEGACY)
    rows = await panel.locator(".row-title").all_inner_texts()
    lists = LISTS["lab orders"]
    assert side_of(visit.world, await id_of_last(visit, lists)) == "legacy"
    asked = len(visit.asked(lists))
    await visit.page.evaluate("window.notReloaded = true")

    with ramped(visit.world, "lab-orders", "live"):
        await expect(panel.locator(".badge")).to_have_text(LIVE)
        await expect(visit.page.locator("#announcer")).to_have_text(
            f"{PANELS['lab orders']}: now {LIVE}."
        )
        await visit.settled("lab orders")
        assert len(visit.asked(lists)) > asked
        assert side_of(visit.world, await id_of_last(visit, lists)) in ("both", "service")
        assert await panel.locator(".row-title").all_inner_texts() == rows
        await expect(visit.panel("compliance").locator(".badge")).to_have_text(LEGACY)

    await expect(panel.locator(".badge")).to_have_text(LEGACY)
    assert await visit.page.evaluate("window.notReloaded") is True
    assert len(visit.documents) == 1


async def test_a_task_type_on_its_own_way_is_shown_as_both(visit: Visit):
    # Put into the answer on its way: a flag of a task type's own cannot be taken back from the world.
    await visit.page.route(f"**{OFREP}", with_flag("compliance_tasks:identity_check.stage", "live"))
    await visit.sign_in("compliance")
    badge = visit.panel("compliance").locator(".badge")
    await expect(badge).to_have_text("via both, by type")


async def test_the_window_asks_for_flags_when_it_gets_the_focus(visit: Visit):
    await visit.page.clock.install()
    await visit.sign_in("patient")
    badge = visit.panel("lab orders").locator(".badge")
    await expect(badge).to_have_text(LEGACY)
    await visit.page.clock.pause_at(await visit.page.evaluate("Date.now()") + 1000)
    with ramped(visit.world, "lab-orders", "live"):
        await until_async(lambda: is_told(visit.world, "patient", "lab_orders.stage", "live"))
        await visit.page.evaluate("window.dispatchEvent(new Event('focus'))")
        # Time stands still in the page: no poll has told it.
        await expect(badge).to_have_text(LIVE)


# --- what goes wrong


async def test_an_error_shows_its_words_and_its_correlation_id(visit: Visit):
    await visit.sign_in("clinician")
    panel = visit.panel("lab orders")
    await panel.get_by_label("Order number").fill("abc")
    await visit.page.keyboard.press("Enter")
    problem = panel.get_by_role("alert")
    await expect(problem).to_contain_text("Invalid query")
    await expect(problem.locator(".problem-errors")).to_contain_text("order_number")
    refused = await last_answer(visit, LISTS["lab orders"])
    assert refused.status == 400
    await expect(problem.locator(".problem-id code")).to_have_text(
        (await refused.json())["correlation_id"]
    )
    await expect(panel.locator(".row")).to_have_count(0)
    visit.forgive(400)

    await panel.get_by_label("Order number").fill("")
    await visit.page.keyboard.press("Enter")
    await expect(problem).to_have_count(0)
    await expect(panel.locator(".row")).to_have_count(PAGE)


async def test_a_wrong_password_is_said_and_can_be_corrected(visit: Visit):
    await visit.page.get_by_label("E-mail").fill("patient@sandbox.example")
    await visit.page.get_by_label("Password").fill("wrong")
    await visit.page.get_by_role("button", name="Sign in").click()
    await expect(visit.page.get_by_role("alert")).to_contain_text("Invalid login credentials")
    await expect(visit.page.get_by_label("Password")).to_be_focused()
    visit.forgive(400)
    await visit.sign_in("patient")
    await expect(visit.page.get_by_role("alert")).to_have_count(0)


async def test_without_a_network_it_says_so_and_recovers(visit: Visit):
    await visit.sign_in("clinician")
    panel = visit.panel("lab orders")
    await visit.page.context.set_offline(True)
    await expect(visit.page.locator("#feed")).to_have_text("Flags: no answer")
    await panel.get_by_role("button", name="Reload").click()
    await expect(panel.get_by_role("alert")).to_contain_text("The gateway cannot be reached")
    await visit.page.context.set_offline(False)
    await expect(visit.page.locator("#feed")).to_have_text("Flags: up to date")
    await panel.get_by_role("button", name="Try again").click()
    await expect(panel.locator(".row")).to_have_count(PAGE)
    offline = [line for line in visit.complaints if "net::ERR_INTERNET_DISCONNECTED" in line]
    assert offline
    assert visit.complaints == offline
    visit.complaints.clear()


# --- the session


async def test_a_session_is_renewed_before_it_runs_out(visit: Visit):
    await visit.page.clock.install()
    await visit.sign_in("patient")
    first = await bearer(visit.asked(OFREP)[-1])
    grants = [await last_answer(visit, "/auth/v1/token", "legacy")]
    await visit.page.clock.fast_forward(HOUR_MS)

    async def renewed() -> bool:
        return await bearer(visit.asked(OFREP)[-1]) != first

    await until_async(renewed)
    grants.append(await last_answer(visit, "/auth/v1/token", "legacy"))
    assert grants[1].url.endswith("?grant_type=refresh_token")
    old, new = [(await grant.json())["refresh_token"] for grant in grants]
    assert old != new
    assert grants[1].request.post_data_json == {"refresh_token": old}
    await visit.panel("lab orders").get_by_role("button", name="Reload").click()
    await visit.settled("lab orders")
    await expect(visit.panel("lab orders").get_by_role("alert")).to_have_count(0)


async def test_a_refused_token_is_renewed_once_and_the_call_repeated(visit: Visit):
    await visit.sign_in("patient")
    lists = LISTS["lab orders"]
    before = await bearer(visit.asked(lists)[-1])
    await visit.page.route(f"**{lists}?*", refuse_first(visit.world))
    await visit.panel("lab orders").get_by_role("button", name="Reload").click()

    async def repeated() -> bool:
        return (await last_answer(visit, lists)).status == 200 and visit.asked(lists)[
            -1
        ] is not refused

    refused = visit.asked(lists)[-1]
    await until_async(repeated)
    assert await bearer(visit.asked(lists)[-1]) != before
    await visit.settled("lab orders")
    await expect(visit.panel("lab orders").get_by_role("alert")).to_have_count(0)
    visit.forgive(401)


async def test_a_session_that_ended_elsewhere_leads_back_to_signing_in(visit: Visit):
    await visit.page.clock.install()
    await visit.sign_in("patient")
    end_everywhere(visit.world, await bearer(visit.asked(OFREP)[-1]))
    await visit.page.clock.fast_forward(HOUR_MS)
    await expect(visit.page.get_by_role("alert")).to_contain_text("Your session has ended")
    await expect(visit.page.get_by_label("E-mail")).to_be_visible()
    visit.forgive(400)


async def test_signing_out_forgets_the_user(visit: Visit):
    await visit.sign_in("clinician")
    await visit.panel("lab orders").get_by_label("Status").select_option("resulted")
    await visit.settled("lab orders")
    first = await bearer(visit.asked(OFREP)[-1])
    await visit.sign_out()
    await expect(visit.page.get_by_role("region", name=PANELS["lab orders"])).to_be_hidden()
    assert "lab orders" not in await visit.page.locator("main").inner_text()
    assert await visit.page.locator(".row").count() == 0
    kept = "Object.keys(localStorage).length + Object.keys(sessionStorage).length"
    assert await visit.page.evaluate(kept) == 0
    assert await visit.page.context.cookies() == []
    logout = f"{visit.world.urls['legacy']}/auth/v1/logout"

    async def has_answered() -> bool:
        return any(one.url.startswith(logout) for one in visit.answers)

    await until_async(has_answered)
    told = await last_answer(visit, "/auth/v1/logout", "legacy")
    assert told.status == 204

    # The next user's polls show that the first one's have stopped.
    count = len(visit.requests)
    await visit.sign_in("patient")

    async def polled() -> bool:
        return len([one for one in visit.requests[count:] if one.url.endswith(OFREP)]) >= 3

    await until_async(polled)
    gateway = visit.world.urls["gateway"]
    later = [one for one in visit.requests[count:] if one.url.startswith(gateway)]
    assert first not in [await bearer(one) for one in later]
    await expect(visit.panel("lab orders").get_by_label("Status")).to_have_value("")


# --- phones, keyboards, screen readers


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_it_fits_the_screen(visits: Visits, width: int, scheme: str):
    async with visits(ViewportSize(width=width, height=844), scheme) as visit:
        assert await visit.scroll_width() == width
        await visit.sign_in("clinician")
        first = await visit.panel("lab orders").bounding_box()
        assert first is not None
        assert first["y"] < 844 / 3, "the header fills the screen"
        for panel in PANELS:
            row = visit.panel(panel).locator(".row").first
            await row.get_by_role("button").click()
            await expect(row.locator(".fresh")).to_be_visible()
        assert await visit.scroll_width() == width


async def test_the_keyboard_alone_is_enough(visit: Visit):
    page = visit.page
    user = next(user for user in visit.world.users if user.name == "clinician")
    await page.keyboard.type(user.email)
    await page.keyboard.press("Tab")
    await page.keyboard.type(user.password)
    await page.keyboard.press("Enter")
    await visit.settled("lab orders")
    head = visit.panel("lab orders").locator(".row-head").first
    await tab_to(page, head)
    await page.keyboard.press("Enter")
    await expect(head).to_have_attribute("aria-expanded", "true")
    await expect(visit.panel("lab orders").locator(".fresh")).to_be_visible()
    await page.keyboard.press("Space")
    await expect(head).to_have_attribute("aria-expanded", "false")


async def test_every_control_has_a_name(visit: Visit):
    await visit.sign_in("clinician")
    assert await visit.nameless() == []


# --- steps


def total_of(world: Stack, name: str, path: str, query: str = "") -> int:
    """How many rows the gateway counts for a user, asked without the page."""
    headers = {"authorization": f"Bearer {world.tokens[name]}", "prefer": "count=exact"}
    url = f"{world.urls['gateway']}{path}?limit=1&{query}".rstrip("&")
    answer = httpx.get(url, headers=headers, trust_env=False, timeout=20)
    answer.raise_for_status()
    total: int = answer.json()["total"]
    return total


async def is_told(world: Stack, name: str, flag: str, stage: str) -> bool:
    """Whether the gateway already tells this user that the flag is at this stage."""
    headers = {"authorization": f"Bearer {world.tokens[name]}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=20) as client:
        answer = await client.post(f"{world.urls['gateway']}{OFREP}/{flag}", json={})
        answer.raise_for_status()
        return bool(answer.json()["value"] == stage)


def end_everywhere(world: Stack, token: str) -> None:
    """End all sessions of the token's user, as from another device."""
    url = f"{world.urls['legacy']}/auth/v1/logout?scope=global"
    apikey = world.environment["LEGACY_PUBLISHABLE_KEY"]
    headers = {"authorization": f"Bearer {token}", "apikey": apikey}
    httpx.post(url, headers=headers, trust_env=False, timeout=20).raise_for_status()


async def last_answer(visit: Visit, path: str, of: str = "gateway") -> Response:
    """The newest answer for this path that has come."""
    start = visit.world.urls[of] + path
    fitting = [one for one in visit.answers if one.url.partition("?")[0] == start]
    assert fitting, f"nothing was asked at {path}"
    return fitting[-1]


async def id_of_last(visit: Visit, path: str) -> str:
    answer = await last_answer(visit, path)
    return (await answer.all_headers())["x-correlation-id"]


def side_of(world: Stack, correlation_id: str) -> str:
    """Which side answered, by the PHI access record."""
    records = [
        json.loads(line)
        for file in Path(world.environment["ACCESS_LOG_FOLDER"]).glob("gateway-*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    (side,) = {
        record["side"]
        for record in records
        if record["correlation_id"] == correlation_id and record["purpose"] != "shadow"
    }
    return str(side)


async def bearer(request: Request) -> str:
    return (await request.all_headers())["authorization"].removeprefix("Bearer ")


def refuse_first(world: Stack):
    """Answers the first call as a gateway that does not take the token any more; the others go through."""
    refused = False

    async def handle(route: Route) -> None:
        nonlocal refused
        if refused:
            await route.continue_()
            return
        refused = True
        origin = world.urls["frontend"]
        await route.fulfill(status=401, headers={"access-control-allow-origin": origin})

    return handle


async def ids_of(panel: Locator) -> list[str]:
    found: list[str] = await panel.locator(".row").evaluate_all(
        "rows => rows.map(r => r.dataset.id)"
    )
    return found


async def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus; a page of this size needs fewer than 40 stops."""
    for _ in range(40):
        if await target.evaluate("one => one === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    pytest.fail("the keyboard does not get there")
