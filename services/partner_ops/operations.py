"""What can be done in partner operations beside reading and writing rows."""

from collections.abc import Mapping

from services.operations import Handler
from services.partner_ops.queue import claim, failed, printed

OPERATIONS: Mapping[str, Handler] = {
    "POST /partner/labels/{id}/claim": claim,
    "POST /partner/labels/{id}/printed": printed,
    "POST /partner/labels/{id}/failed": failed,
}
