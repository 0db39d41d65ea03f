"""A browser that looks at the example frontend, and a visit to it that fails for whatever the browser complains about."""

from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)

import pytest
from playwright.async_api import (
    Browser,
    ViewportSize,
    async_playwright,
    expect,
)

from runtime.stack import Stack
from tests import chromium
from tests.browser.visit import Visit

DESK = ViewportSize(width=1280, height=900)
# Two cores, a whole world and a browser: what takes a second alone may take ten beside other tests.
PATIENCE_MS = 30_000

Launch = Callable[[], AbstractAsyncContextManager[Browser]]
Visits = Callable[..., AbstractAsyncContextManager[Visit]]


@pytest.fixture(scope="module")
async def launched() -> AsyncIterator[Launch]:
    """Gives a browser: one for all, unless it runs as a single process, which ends with its first page."""
    found = chromium.find()
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright, AsyncExitStack() as open_until_the_end:

        @asynccontextmanager
        async def launch() -> AsyncIterator[Browser]:
            browser = await playwright.chromium.launch(
                executable_path=found.path,
                args=found.arguments,
                timeout=chromium.START_SECONDS * 1000,
            )
            try:
                yield browser
            finally:
                await browser.close()

        if "--single-process" in found.arguments:
            yield launch
        else:
            browser = await open_until_the_end.enter_async_context(launch())
            yield lambda: nullcontext(browser)


@pytest.fixture
def visits(launched: Launch, world: Stack) -> Visits:
    """Makes visits: `async with visits(size, scheme) as visit`, at the page, nobody signed in."""

    @asynccontextmanager
    async def visiting(size: ViewportSize = DESK, scheme: str = "light") -> AsyncIterator[Visit]:
        async with launched() as browser:
            context = await browser.new_context(
                viewport=size,
                color_scheme="dark" if scheme == "dark" else "light",
                locale="en-GB",
                timezone_id="Europe/London",
            )
            context.set_default_timeout(PATIENCE_MS)
            try:
                visit = Visit(page=await context.new_page(), world=world)
                visit.listen()
                await visit.page.goto(world.urls["frontend"])
                await expect(visit.page.get_by_label("E-mail")).to_be_focused()
                yield visit
                assert visit.complaints == []
            finally:
                await context.close()

    return visiting


@pytest.fixture
async def visit(visits: Visits) -> AsyncIterator[Visit]:
    """A visit at a desk."""
    async with visits() as found:
        yield found
