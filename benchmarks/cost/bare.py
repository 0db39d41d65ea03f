"""`python -m benchmarks.cost.bare --upstream URL --port P`: the gateway's own listener and pool with nothing between them.

What the product costs beyond this is what its features cost.
"""

import argparse
import asyncio
import sys
from typing import cast

import uvicorn

from benchmarks.cost.compiled import BARE_BUILDS, BARE_MODULES
from runtime.compiled.form import use


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost.bare", description=__doc__)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--form", choices=("plain", "compiled"), required=True)
    given = parser.parse_args()
    use(given.form, BARE_BUILDS, BARE_MODULES)
    from benchmarks.cost.passing import Bare
    from runtime.upstream.upstream import Upstream

    config = uvicorn.Config(
        Bare(Upstream("bare", given.upstream)),
        port=given.port,
        http=cast(type[asyncio.Protocol], Bare.protocol),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
