"""What a file's bytes go through: out of the store only if they are what was put there."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request

from routes.refused import Malformed, Refused, RequestTimeout
from services.care_plans.content import Corrupt, Receiving, Wanted, verified

pytestmark = pytest.mark.unit

PIECES = (b"one", b"two", b"three")
RIGHT = hashlib.sha256(b"".join(PIECES)).hexdigest()


async def chunks() -> AsyncIterator[bytes]:
    for piece in PIECES:
        yield piece


@pytest.mark.parametrize("sha256", [RIGHT, None])
async def test_the_right_bytes_come_out_whole(sha256: str | None):
    assert b"".join([one async for one in verified(chunks(), sha256)]) == b"".join(PIECES)


async def test_of_wrong_bytes_the_end_never_comes():
    pieces = verified(chunks(), RIGHT[::-1])
    assert [await anext(pieces), await anext(pieces)] == [b"one", b"two"]
    with pytest.raises(Corrupt):
        await anext(pieces)


@pytest.mark.parametrize(
    ("then", "refusal"), [({"type": "http.disconnect"}, Malformed), (None, RequestTimeout)]
)
async def test_a_body_that_breaks_off_or_stands_still_is_refused(
    then: dict[str, str] | None, refusal: type[Refused]
):
    messages = [{"type": "http.request", "body": b"one", "more_body": True}, then]

    async def receive():
        message = messages.pop(0)
        if message is None:
            await asyncio.Event().wait()
        return message

    request = Request({"type": "http", "method": "PUT", "headers": []}, receive)
    body = Receiving(request, Wanted(content_type=None, digests={}), pause=0.1)
    came = body.chunks()
    assert await anext(came) == b"one"
    with pytest.raises(refusal):
        await anext(came)
