"""The least program that runtime/serve.py can run as a group: `python -m tests.small_program --processes N --port 0`.

Answers every path with its process id, after `?wait=` seconds; /readyz as the gateway does, /metrics for the group.
It does not start while KILL_SWITCH_FILE exists: a release that is broken.
"""

import asyncio
import os
import sys
from typing import Any
from urllib.parse import parse_qsl

from gateway.metrics import Metrics
from runtime.serve import arguments, serve
from runtime.settings import Settings
from runtime.settingserror import SettingsError


class SmallProgram:
    def __init__(self, settings: Settings) -> None:
        if settings.kill_switch_file.exists():
            raise SettingsError(["this program is broken"])
        self.draining = False
        self.metrics = Metrics(settings.metrics_folder)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        asked = dict(parse_qsl(scope["query_string"].decode()))
        await asyncio.sleep(float(asked.get("wait", 0)))
        if scope["path"] == "/metrics":
            return await answer(send, 200, self.metrics.exposition())
        if scope["path"] == "/readyz":
            return await answer(send, 503 if self.draining else 200, b"")
        self.metrics.tally.count("/", "GET", "gateway", "", 200, 0.001)
        return await answer(send, 200, str(os.getpid()).encode())

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        self.metrics.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.metrics.stop()
        await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    sys.exit(
        serve(
            "small",
            arguments("tests.small_program", __doc__, group=True).parse_args(),
            SmallProgram,
            lambda settings: (settings.gateway_host, settings.gateway_port),
        )
    )
