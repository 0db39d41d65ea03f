"""One HTTP process: configuration, logs, and a uvicorn that takes strict HTTP only and says nothing about itself."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime.logs import configure
from runtime.settings import Settings, SettingsError, load


def arguments(module: str, description: str | None) -> argparse.ArgumentParser:
    """The parser of `python -m <module> [--host H] [--port P]`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    return parser


def serve(
    name: str,
    given: argparse.Namespace,
    create_app: Callable[[Settings], Any],
    address: Callable[[Settings], tuple[str, int]],
) -> int:
    """Serves until SIGTERM or SIGINT; 2 when the configuration cannot be used, with a sentence per problem.

    `address`: host and port where the command line names none. The parser is httptools by class, not by uvicorn's
    choice: h11 lets requests through that this project refuses (http-rules section 1).
    """
    try:
        settings = load()
        app = create_app(settings)
    except SettingsError as error:
        sys.stderr.writelines(f"{name}: {problem}\n" for problem in error.problems)
        return 2
    configure(name, level=settings.log_level)
    host, port = address(settings)
    config = uvicorn.Config(
        app,
        host=given.host or host,
        port=given.port if given.port is not None else port,
        http=HttpToolsProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    uvicorn.Server(config).run()
    return 0
