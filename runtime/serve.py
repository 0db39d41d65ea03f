"""One HTTP process, or a group of them: configuration, logs, and a uvicorn that takes strict HTTP only and says nothing about itself."""

import argparse
import asyncio
import gc
import math
import resource
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import httptools
import structlog
import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime import failpoint, processes
from runtime.groupfolder import fold
from runtime.inherited import Inherited
from runtime.logs import configure
from runtime.settings import Settings, load
from runtime.settingserror import SettingsError

log = structlog.get_logger("serve")

PORT_IN_USE = 3
_FAREWELL_SECONDS = 1.0
_GC_THRESHOLDS = (10_000, 10, 10)
"""A request's objects die by reference count, so the collector runs when caches grow. Measured: 0.2 to 0.7 ms for
10,000 young objects every 10,000 (700 is the default: 100 times as many stops), where 50,000 stop the loop for 1.5 to
5 ms and their second generation for 50."""


def arguments(
    module: str, description: str | None, *, group: bool = False
) -> argparse.ArgumentParser:
    """The parser of `python -m <module> [--host H] [--port P] [--processes N]`; the last one for a `group`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    if group:
        parser.add_argument(
            "--processes",
            type=int,
            choices=range(1, 65),
            metavar="N",
            help="processes that share the port",
        )
        parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    return parser


def serve(
    name: str,
    given: argparse.Namespace,
    create_app: Callable[[Settings], Any],
    address: Callable[[Settings], tuple[str, int]],
    *,
    count: Callable[[Settings], int] = lambda settings: 1,
) -> int:
    """Serves until SIGTERM or SIGINT, then lets what is in flight finish. Answers the exit code.

    0 after an orderly stop; 2 when the configuration cannot be used, with a sentence per problem; 3 when the port
    cannot be opened. `address`: host and port where the command line names none. `count`: processes that share the
    port, where it names none.

    An application with an attribute `protocol` makes its client connections by that (see `require_httptools`), as
    uvicorn calls it: `protocol(config=, server_state=, app_state=, _loop=)`. What is to be waited for at the end stands
    in `server_state.connections` and has a `shutdown()`.

    An application with an attribute `draining` finds it true from SIGTERM on: it is not ready any more, and closes
    each connection with its next answer.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold what passes through
    try:
        settings = load()
        failpoint.arm(settings.failpoint)
        inherited = Inherited.parse(given.child) if getattr(given, "child", None) else None
        number = getattr(given, "processes", None) or count(settings)
        if inherited is None and number > 1:
            configure(name, level=settings.log_level)
            return _serve_group(name, number, *_address(given, address(settings)), settings)
        listener = inherited.adopt() if inherited else None
        folder = inherited.folder if inherited else None
        settings = settings.model_copy(update={"metrics_folder": folder})
        app = create_app(settings)
        http = getattr(app, "protocol", HttpToolsProtocol)
        require_httptools(http)
    except SettingsError as error:
        sys.stderr.writelines(f"{name}: {problem}\n" for problem in error.problems)
        return 2
    configure(name, level=settings.log_level)
    host, port = _address(given, address(settings))
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=cast(type[asyncio.Protocol], http),
        backlog=processes.BACKLOG,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        # Longer than the gateway keeps an idle connection to us (UPSTREAM_IDLE_SECONDS): it must be the one who closes.
        timeout_keep_alive=math.ceil(settings.client_idle_seconds),
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
    )
    _Server(config, app, inherited).run([listener] if listener else None)
    return 0


def require_httptools(http: Callable[..., object]) -> None:
    """Raises SettingsError unless httptools reads the requests.

    h11 lets requests through that this project refuses (http-rules section 1), and uvicorn takes it by itself when
    httptools is missing. A protocol of our own names its parser: `request_parser = httptools.HttpRequestParser`.
    """
    own = getattr(http, "request_parser", None)
    if http is not HttpToolsProtocol and own is not httptools.HttpRequestParser:
        raise SettingsError(
            [
                f"requests are read by httptools alone, and {getattr(http, '__name__', 'this')} does not"
            ]
        )


def _address(given: argparse.Namespace, default: tuple[str, int]) -> tuple[str, int]:
    host, port = default
    return given.host or host, given.port if given.port is not None else port


def _serve_group(name: str, count: int, host: str, port: int, settings: Settings) -> int:
    if settings.metrics_folder is not None:
        settings.metrics_folder.mkdir(parents=True, exist_ok=True)
    try:
        sockets = processes.listeners(count, host, port)
    except OSError as error:
        sys.stderr.write(f"{name}: {host}:{port} cannot be opened ({error.strerror})\n")
        return PORT_IN_USE
    log.info("process.listening", port=sockets[0].getsockname()[1], count=count)
    return processes.run(
        sockets,
        [sys.executable, *sys.orig_argv[1:]],
        drain_seconds=settings.drain_seconds + _FAREWELL_SECONDS,
        folder=settings.metrics_folder,
        ended=fold,
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: Any, inherited: Inherited | None) -> None:
        super().__init__(config)
        self._app = app
        self._inherited = inherited

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settle_memory()
        if self._inherited is not None:
            self._inherited.tell_ready()
        else:
            log.info("process.listening", port=self.servers[0].sockets[0].getsockname()[1])

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Not uvicorn's, which raises the signal again at the end: a stop that was asked for ends with 0."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
        if hasattr(self._app, "draining"):
            self._app.draining = True  # /readyz says so from now on

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """No new connections; then a second in which a draining application says goodbye on those that are open.

        An idle connection that we close at once may carry a request already, which would then be lost.
        """
        for server in self.servers:
            server.close()
        if hasattr(self._app, "draining"):
            until = asyncio.get_running_loop().time() + _FAREWELL_SECONDS
            while (  # noqa: ASYNC110 - uvicorn's set of connections has no event
                self._open and asyncio.get_running_loop().time() < until
            ):
                await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    @property
    def _open(self) -> bool:
        return bool(self.server_state.connections) and not self.force_exit


def settle_memory() -> None:
    """What is there after the start stays: the collector need not look at it again, and looks less often at the rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
