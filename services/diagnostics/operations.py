"""What diagnostics does beside reading and writing rows, by method and path."""

from collections.abc import Mapping

from services.diagnostics.vendor_update import vendor_update
from services.operations import Handler

OPERATIONS: Mapping[str, Handler] = {"POST /lab-orders/vendor-updates": vendor_update}
