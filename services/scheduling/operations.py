"""What can be done in scheduling beside reading and writing rows."""

from collections.abc import Mapping

from services.operations import Handler
from services.scheduling.offer import slots
from services.scheduling.queue import claim, confirm, decline

OPERATIONS: Mapping[str, Handler] = {
    "GET /appointments/slots": slots,
    "POST /appointment-requests/{id}/claim": claim,
    "POST /appointment-requests/{id}/confirm": confirm,
    "POST /appointment-requests/{id}/decline": decline,
}
