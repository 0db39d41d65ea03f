"""A stand-in for a legacy that says the same in other words each time, and sometimes something else: a proxy before the real one.

Reads alone; rows of a table that the catalog knows are spelt otherwise, as benchmarks/shadow/rows.py does it; everything else
passes as it is.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import httpx

from benchmarks.shadow.rows import respelt, text_of
from catalog import assets
from catalog.asset import Asset
from catalog.column import Column, Kept, Type

_PREFIX = "/rest/v1/"
_FRACTIONS = frozenset({Type.NUMERIC, Type.REAL})
_KEPT_HEADERS = ("content-type", "content-range")


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Of the answers of `entity` that show any row, `share` have another value in `column` of one row."""

    entity: str
    column: str
    """By its name in the new model."""
    share: float


@dataclass(kw_only=True)
class Unsteady:
    """`legacy`: base URL of the real one."""

    legacy: str
    seed: str
    noise: Noise | None = None
    url: str = ""
    answers: int = 0
    rewritten: int = 0
    """Of the answers: with other bytes than legacy's, row by row the same."""
    noisy: dict[str, list[bool]] = field(default_factory=dict)
    """By correlation id: whether each answer to it was made noisy, in the order in which they were asked for."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Unsteady"]:
        self._dice = Random(self.seed)
        self._open: set[asyncio.Task[None]] = set()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
        async with httpx.AsyncClient(trust_env=False, timeout=30, limits=limits) as client:
            self._client = client
            server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            try:
                yield self
            finally:
                server.close()
                for task in self._open:
                    task.cancel()
                await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answered(head))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the gateway has let go of it, or all is over
        finally:
            self._open.discard(task)
            writer.close()

    async def _answered(self, head: bytes) -> bytes:
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        assert method == "GET", "reads alone"
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        # The place among its request's answers, before anything is waited for.
        marks = self.noisy.setdefault(headers["x-correlation-id"], [])
        place = len(marks)
        marks.append(False)
        sent = {name: value for name, value in headers.items() if name != "host"}
        answer = await self._asked(target, sent)
        self.answers += 1
        body = answer.content
        entity = target.removeprefix(_PREFIX).partition("?")[0]
        if answer.is_success and target.startswith(_PREFIX) and entity in assets():
            body, marks[place] = self._said(assets()[entity], answer.content, target)
            self.rewritten += body != answer.content
        kept = [f"{n}: {answer.headers[n]}" for n in _KEPT_HEADERS if n in answer.headers]
        status = f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}"
        return "\r\n".join([status, *kept, f"content-length: {len(body)}", "", ""]).encode() + body

    async def _asked(self, target: str, headers: Mapping[str, str]) -> httpx.Response:
        """Once more over another connection, if legacy closes an idle one just now: the gateway must not see that."""
        try:
            return await self._client.get(self.legacy + target, headers=headers)
        except httpx.TransportError:
            return await self._client.get(self.legacy + target, headers=headers)

    def _said(self, asset: Asset, body: bytes, target: str) -> tuple[bytes, bool]:
        rows: list[dict[str, Any]] = json.loads(body, parse_float=Decimal)
        others = [self._respelt(asset.by_target, row) for row in rows]
        if "order=" not in target:
            self._dice.shuffle(others)
        noise = self.noise
        noisy = (
            noise is not None
            and noise.entity == asset.entity
            and bool(others)
            and self._dice.random() < noise.share
        )
        if noise is not None and noisy:
            # Not in the last of several: a page is asked for with one row more than is shown.
            row = self._dice.choice(others[:-1] or others)
            row[noise.column] = f"noise {self._dice.getrandbits(64):x}"
        return text_of(others, self._dice), noisy

    def _respelt(self, columns: Mapping[str, Kept], row: Mapping[str, Any]) -> dict[str, Any]:
        found = [(name, self._value(columns.get(name), name, value)) for name, value in row.items()]
        self._dice.shuffle(found)
        return dict(found)

    def _value(self, column: Kept | None, name: str, value: Any) -> Any:
        if column is None or value is None:
            return value  # a part of a merged column, or what the entity tag is made of
        if isinstance(column, Column) and column.convert is not None:
            return Decimal(f"{Decimal(value):f}00" if "." in str(value) else f"{value}.0")
        if column.type in _FRACTIONS:
            value = Decimal(value)
        try:
            return respelt((column,), {name: value}, self._dice)[name]
        except (ValueError, OverflowError):
            return value  # an instant that only PostgreSQL knows
