"""`python -m gateway [--port P] [--processes N]`: the data plane, in one process or several on one port."""

import sys

from gateway.app import create_app
from gateway.edge.served import ServedConnection
from runtime.serve import arguments, serve


def main() -> int:
    given = arguments("gateway", __doc__, group=True).parse_args()
    return serve(
        "gateway",
        given,
        create_app,
        lambda s: (s.gateway_host, s.gateway_port),
        http=ServedConnection,
        count=lambda s: s.gateway_processes,
    )


if __name__ == "__main__":
    sys.exit(main())
