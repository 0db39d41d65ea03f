"""What can be done in scheduling beside reading and writing rows."""

from collections.abc import Mapping

from services.operations import Handler
from services.scheduling.offer import slots

OPERATIONS: Mapping[str, Handler] = {"GET /appointments/slots": slots}
