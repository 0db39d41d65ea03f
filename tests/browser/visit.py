"""One person at one browser page of the example frontend."""

from dataclasses import dataclass, field

from playwright.async_api import ConsoleMessage, Error, Locator, Page, Request, Response, expect

from runtime.stack import Stack

PANELS = {
    "lab orders": "Lab order console",
    "compliance": "Compliance task manager",
    "appointments": "Appointment widget",
}
_STATUS = "the server responded with a status of "


@dataclass(kw_only=True)
class Visit:
    """One person at one browser page: what they do, and what the browser saw meanwhile."""

    page: Page
    world: Stack
    complaints: list[str] = field(default_factory=list)
    """Console errors and warnings, uncaught exceptions, failed requests, refusals. Must be empty in the end."""
    requests: list[Request] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    """Every document that was loaded: one, unless something reloads or navigates."""

    def listen(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", self._raised)
        self.page.on("request", self._asked)
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)
        self.page.on("domcontentloaded", self._loaded)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text}")

    def _raised(self, error: Error) -> None:
        self.complaints.append(f"uncaught: {error}")

    def _loaded(self, page: Page) -> None:
        self.documents.append(page.url)

    def _asked(self, request: Request) -> None:
        self.requests.append(request)

    def _failed(self, request: Request) -> None:
        # What the page itself gives up, as when its user signs out, is no failure.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        self.answers.append(response)
        if response.status >= 400:
            self.complaints.append(f"refused: {response.status} {response.url}")

    def forgive(self, status: int) -> None:
        """Answers of this status were provoked, and with them the browser's line about each. There must be one."""
        wanted = (f"refused: {status} ", f"console: Failed to load resource: {_STATUS}{status} ")
        kept = [line for line in self.complaints if not line.startswith(wanted)]
        assert len(kept) < len(self.complaints), f"nothing was answered with {status}"
        self.complaints = kept

    async def sign_in(self, name: str) -> None:
        """As a sample user, up to the moment that all three lists are there."""
        user = next(user for user in self.world.users if user.name == name)
        await self.page.get_by_label("E-mail").fill(user.email)
        await self.page.get_by_label("Password").fill(user.password)
        await self.page.get_by_role("button", name="Sign in").click()
        for panel in PANELS:
            await self.settled(panel)

    async def sign_out(self) -> None:
        await self.page.get_by_role("button", name="Sign out").click()
        await expect(self.page.get_by_role("heading", name="Sign in")).to_be_visible()

    def panel(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=PANELS[name])

    async def settled(self, panel: str) -> None:
        """The list of a panel has been read, and something about it is said."""
        await expect(self.panel(panel)).to_have_attribute("aria-busy", "false")
        said = self.panel(panel).locator(".row, .empty:visible, .problem")
        await expect(said.first).to_be_visible()

    def asked(self, path: str) -> list[Request]:
        """The requests to the gateway for this path, in order."""
        start = self.world.urls["gateway"] + path
        return [one for one in self.requests if one.url.partition("?")[0] == start]

    def sent(self, method: str, path: str) -> list[Request]:
        """The requests of this method among them."""
        return [one for one in self.asked(path) if one.method == method]

    async def scroll_width(self) -> int:
        """Wider than the screen: something does not fit."""
        width: int = await self.page.evaluate("document.documentElement.scrollWidth")
        return width

    async def nameless(self) -> list[str]:
        """What can be used on the page now and has no name for who does not see it."""
        found: list[str] = await self.page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, textarea, summary, a[href]")]
                .filter((one) => one.checkVisibility())
                .filter((one) => !(one.labels?.[0] ?? one).textContent.trim())
                .map((one) => one.outerHTML)"""
        )
        return found
