"""The control process's own numbers, for the addresses that may read them: alerts that are not over, by class."""

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runtime.alertclass import CLASSES
from runtime.alertgauge import AlertGauge

PATH = "/metrics"


def registry_of(alerts: AlertGauge) -> CollectorRegistry:
    """Read at scrapes, which wait for no database."""
    registry = CollectorRegistry()
    gauge = Gauge(alerts.name, alerts.help, ["class"], registry=registry)
    for name in CLASSES:
        gauge.labels(name).set_function(alerts.of(name))
    return registry


async def page(request: Request) -> Response:
    registry: CollectorRegistry = request.scope["banyan.metrics"]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


ROUTES = (Route(PATH, page),)
