"""How a connection to an upstream is made: TCP, and TLS with verification. The seam at which tests put a script."""

import asyncio
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from typing import cast

from runtime.upstream.connection import Connection

Dial = Callable[[Connection], Awaitable[object]]
"""Returns when the connection stands. Raises OSError (refused, TLS, unknown host), or UnicodeError for a name that is none."""


def dialler(host: str, port: int, tls: SSLContext | None) -> Dial:
    """The real one."""

    async def dial(connection: Connection) -> None:
        await asyncio.get_running_loop().create_connection(
            lambda: cast(asyncio.Protocol, connection),
            host,
            port,
            ssl=tls,
            server_hostname=host if tls else None,
        )

    return dial
