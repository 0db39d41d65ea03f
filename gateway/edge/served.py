"""A client's connection as uvicorn makes and ends it: uvicorn brings sockets, signals and the order of start and stop, no more."""

import asyncio
from typing import Any, ClassVar

from httptools import HttpRequestParser
from typing_extensions import override

from gateway.edge.connection import ClientConnection


class ServedConnection(ClientConnection):
    """For `uvicorn.Config(http=...)`; the application is a gateway.server.Gateway."""

    request_parser: ClassVar[type[HttpRequestParser]] = HttpRequestParser
    """See runtime.serve.require_httptools."""

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: Any,
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        gateway = config.loaded_app
        super().__init__(gateway, gateway.clients, gateway.heads)
        self._all: set[Any] = server_state.connections

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._all.add(self)
        super().connection_made(transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
        super().connection_lost(exc)
