"""What care_plans does beside reading and writing rows, by method and path."""

from collections.abc import Mapping

from services.care_plans.content import get_content, put_content
from services.operations import Handler

OPERATIONS: Mapping[str, Handler] = {
    "GET /action-plans/{id}/content": get_content,
    "PUT /action-plans/{id}/content": put_content,
}
