"""`python -m gateway [--port P]`: one process of the data plane."""

import sys

from gateway.app import create_app
from runtime.serve import arguments, serve


def main() -> int:
    given = arguments("gateway", __doc__).parse_args()
    return serve("gateway", given, create_app, lambda s: (s.gateway_host, s.gateway_port))


if __name__ == "__main__":
    sys.exit(main())
