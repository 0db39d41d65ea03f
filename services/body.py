"""Bodies of requests to a service: of a media type that is taken, of a size that is taken, and of one meaning."""

from typing import Any

from starlette.requests import Request

from routes.json_body import BodyRefused, read_object
from routes.refused import InvalidBody, TooLarge, WrongContentType

LARGEST_BODY = 1024 * 1024
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


async def read_bytes(request: Request) -> bytes:
    """The whole body. Raises TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise TooLarge
    return bytes(body)


async def read_json(request: Request, *also: str) -> dict[str, Any]:
    """The members of a JSON object, sent as application/json or one of `also`. Raises WrongContentType, TooLarge, InvalidBody."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in (JSON, *also):
        raise WrongContentType
    try:
        return read_object(await read_bytes(request))
    except BodyRefused as refused:
        raise InvalidBody(refused.code) from None
