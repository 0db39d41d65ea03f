"""Stages of the world under the browser, moved as an operator moves them."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import httpx
from playwright.async_api import Route

from runtime.stack import Stack


@contextmanager
def ramped(world: Stack, entity: str, stage: str) -> Iterator[None]:
    """Everybody at `stage` of this entity, through the control API; at legacy again behind it, where `legacy` leaves them."""
    if stage == "legacy":
        yield
        return
    url = f"{world.urls['control']}/flags/{entity}/ramp"
    headers = {"authorization": f"Bearer {world.operators['operator']}"}
    with httpx.Client(headers=headers, trust_env=False, timeout=20) as control:
        control.post(url, json={"stage": stage, "percent": 100}).raise_for_status()
        try:
            yield
        finally:
            # Thresholds are cumulative: nobody at shadow or above is everybody at legacy.
            control.post(url, json={"stage": "shadow", "percent": 0}).raise_for_status()


def with_flag(key: str, stage: str) -> Callable[[Route], Awaitable[None]]:
    """For `page.route`: one flag more in the answers of OFREP; of two with one key, the page takes the later."""

    async def handle(route: Route) -> None:
        headers = await route.request.all_headers()
        headers.pop("if-none-match", None)  # a 304 would have nothing to add to
        answer = await route.fetch(headers=headers)
        body = await answer.json()
        flag = {"key": key, "value": stage, "variant": stage, "reason": "SPLIT"}
        await route.fulfill(response=answer, json={**body, "flags": [*body["flags"], flag]})

    return handle
