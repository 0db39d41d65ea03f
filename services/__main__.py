"""`python -m services NAME [--port P]`: one process of one service."""

import sys
from functools import partial

from catalog.service import Service
from runtime.serve import arguments, serve
from services.app import create_app

FIRST_PORT = 8410


def main() -> int:
    parser = arguments("services", __doc__)
    parser.add_argument("name", choices=[service.value for service in Service])
    given = parser.parse_args()
    service = Service(given.name)
    port = FIRST_PORT + list(Service).index(service)
    return serve(service, given, partial(create_app, service), lambda _: ("127.0.0.1", port))


if __name__ == "__main__":
    sys.exit(main())
