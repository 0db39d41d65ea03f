"""A sample user beside the page, who asks the gateway without a browser."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from runtime.stack import Stack


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One of the sample users."""

    world: Stack
    name: str

    async def send(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> httpx.Response:
        """The answer, whatever it is. A POST has a key of its own."""
        sent = {"authorization": f"Bearer {self.world.tokens[self.name]}", **headers}
        if method == "POST":
            sent["idempotency-key"] = f'"{uuid4()}"'
        async with httpx.AsyncClient(headers=sent, trust_env=False, timeout=20) as client:
            return await client.request(method, self.world.urls["gateway"] + path, json=body)

    async def done(self, method: str, path: str, body: object) -> dict[str, Any]:
        """The row that was made or changed."""
        answer = await self.send(method, path, body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        row: dict[str, Any] = answer.json()
        return row

    async def rows(self, path: str) -> list[dict[str, Any]]:
        answer = await self.send("GET", path)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["items"]
        return found
