"""An item as an answer, with its entity tag."""

from starlette.responses import Response

from routes.etag import etag, matches
from services.body import JSON
from services.snapshot import Item


def item_response(item: Item, known: str) -> Response:
    """The row, or 304 where `known`, an If-None-Match value, names its version."""
    tag = etag(item.stamp, item.origin)
    if known and matches(known, tag):
        return Response(status_code=304, headers={"etag": tag})
    return Response(item.text, media_type=JSON, headers={"etag": tag})
