"""`Ramp`: the stages of a sandbox's users, moved as an operator moves them: by the control API."""

import asyncio
import random
from collections.abc import Mapping, Sequence

import httpx

from catalog.stage import Stage
from runtime.stack import Stack
from sandbox.seed.people import BY_NAME

_STEPS = {
    Stage.LEGACY: [(Stage.SHADOW, False)],
    Stage.SHADOW: [(Stage.DUAL_WRITE, False), (Stage.SHADOW, True)],
    Stage.DUAL_WRITE: [(Stage.LIVE, False), (Stage.DUAL_WRITE, True)],
    Stage.LIVE: [(Stage.LIVE, True)],
}
_LOOK_SECONDS = 0.005


class Ramp:
    """Of every entity at once. Each call returns when all of these gateways decide by it."""

    def __init__(self, stack: Stack, client: httpx.AsyncClient, urls: Sequence[str]) -> None:
        self._stack = stack
        self._client = client
        self._urls = urls
        self._chance = random.Random(1)

    async def everybody(self, stage: Stage) -> None:
        """`stage` is one of legacy, shadow, dual_write, live."""
        # Shares are cumulative: lowering one takes it from all above, and raising one gives it to all below.
        for step, raised in _STEPS[stage]:
            await self._to_all("ramp", {"stage": step, "percent": 100 if raised else 0})
        await self._until(stage, "clinician")

    async def one(self, user: str, stage: Stage) -> None:
        """A sample user by name, whatever the others get."""
        await self._to_all("overrides", {"user": str(BY_NAME[user].id), "stage": stage})
        await self._until(stage, user)

    async def _to_all(self, what: str, body: Mapping[str, object]) -> None:
        flags = await self._stages(self._urls[0], "clinician")
        scopes = [flag.removesuffix(".stage") for flag in flags]
        await asyncio.gather(*(self._change(scope, what, body) for scope in scopes))

    async def _change(self, scope: str, what: str, body: Mapping[str, object]) -> None:
        url = f"{self._stack.urls['control']}/flags/{scope}/{what}"
        headers = {"authorization": f"Bearer {self._stack.operators['operator']}"}
        while True:
            response = await self._client.post(url, json=body, headers=headers)
            if response.status_code not in (409, 412):
                break
            await asyncio.sleep(self._chance.uniform(0, 0.02))  # another flag was changed at once
        response.raise_for_status()

    async def _until(self, stage: Stage, user: str) -> None:
        for url in self._urls:
            while set((await self._stages(url, user)).values()) != {str(stage)}:  # noqa: ASYNC110 - another process
                await asyncio.sleep(_LOOK_SECONDS)

    async def _stages(self, url: str, user: str) -> Mapping[str, str]:
        """By flag, as this gateway sees this user."""
        headers = {"authorization": f"Bearer {self._stack.tokens[user]}"}
        response = await self._client.post(
            f"{url}/ofrep/v1/evaluate/flags", json={"context": {}}, headers=headers
        )
        response.raise_for_status()
        return {flag["key"]: str(flag["value"]) for flag in response.json()["flags"]}


USERS = {
    Stage.DUAL_WRITE: {
        "clinician": "clinician", "patient": "patient", "partner": "partner",
        "compliance": "compliance", "finance": "finance",
    },
    Stage.LIVE: {
        "clinician": "clinician-b", "patient": "patient-b", "partner": "partner-b",
        "compliance": "admin", "finance": "admin",
    },
}  # fmt: skip
"""Who does what where both sides are written to at once: by stage and role."""


async def half_and_half(ramp: Ramp) -> None:
    """Some users write to legacy, the others to the services, as in the middle of a migration."""
    await ramp.everybody(Stage.DUAL_WRITE)
    for user in sorted(set(USERS[Stage.LIVE].values())):
        await ramp.one(user, Stage.LIVE)
