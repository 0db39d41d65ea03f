"""`python -m sandbox.supabase --port P`: the stand-in on 127.0.0.1. Not PostgREST, never for production."""

import argparse
import importlib.util
import sys

import structlog
import uvicorn
from pydantic import ValidationError

from runtime import logs
from sandbox.supabase.app import create_app
from sandbox.supabase.settings import StandinSettings

LOOPBACK = "127.0.0.1"
BANNER = "stand-in, not PostgREST, never for production"


def main(arguments: list[str] | None = None) -> int:
    """Exit 2 for wrong usage: an address that is not loopback, or settings that are missing."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.supabase", description=BANNER)
    parser.add_argument("--port", type=int, default=8420)
    parser.add_argument("--host", default=LOOPBACK, help=f"{LOOPBACK}, and nothing else")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning"))
    given = parser.parse_args(arguments)
    if given.host != LOOPBACK:
        parser.error(f"the stand-in listens on {LOOPBACK} only")
    try:
        settings = StandinSettings.model_validate({})  # all of it from the environment
    except ValidationError as error:
        names = ", ".join(f"LEGACY_STANDIN_{each['loc'][0]}".upper() for each in error.errors())
        parser.error(f"settings are missing or wrong: {names}")
    logs.configure("standin", level=given.log_level)
    log = structlog.get_logger("standin")
    log.warning(BANNER, port=given.port)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings, f"http://{LOOPBACK}:{given.port}"),
            host=LOOPBACK,
            port=given.port,
            http="httptools",
            ws="websockets-sansio" if importlib.util.find_spec("websockets") else "none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
    )
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
