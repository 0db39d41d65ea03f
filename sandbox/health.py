"""Asks a child over HTTP whether it is ready."""

import asyncio

from sandbox import ports

_PATIENCE_SECONDS = 2.0


async def answers(port: int, path: str) -> bool:
    """Whether GET answers 200; refused, reset, silent and every other status is no."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return b" 200 " in await _status_line(port, path)
    except (OSError, TimeoutError):
        return False


async def _status_line(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(ports.LOOPBACK, port)
    try:
        host = f"{ports.LOOPBACK}:{port}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        return await reader.readline()
    finally:
        writer.close()
