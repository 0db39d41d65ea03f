"""`python -m gateway [--port P] [--processes N]`: the data plane, in one process or several on one port."""

import sys
from typing import Any

from runtime.compiled.form import NotCompiled, use
from runtime.serve import arguments, serve
from runtime.settings import Settings
from runtime.settingserror import SettingsError


def main() -> int:
    given = arguments("gateway", __doc__, group=True).parse_args()
    return serve(
        "gateway",
        given,
        _create_app,
        lambda s: (s.gateway_host, s.gateway_port),
        count=lambda s: s.gateway_processes,
    )


def _create_app(settings: Settings) -> Any:
    """The gateway, in the form that the settings ask for: chosen before any of its modules is imported."""
    try:
        use(settings.gateway_form)
    except NotCompiled:
        raise SettingsError(
            ["GATEWAY_FORM: there is no compiled form of these sources; `make compiled` makes one"]
        ) from None
    from gateway.app import create_app

    return create_app(settings)


if __name__ == "__main__":
    sys.exit(main())
