"""A plan's file: put in place, and got. The object first, under a name of its own, then the row that names it.

A crash in between leaves an object that no row names (services.care_plans.orphans), never a row without its object.

Corrupt   what the store holds is not what was put there; the answer breaks off before its last piece
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from routes.digest import read_sha256, write_sha256
from routes.etag import etag, matches
from routes.key import Key
from routes.operation import LARGEST_STREAM
from routes.problem import FieldError
from routes.refused import (
    Conflict,
    FileNotHere,
    InvalidFields,
    Malformed,
    NotFound,
    Refused,
    RequestTimeout,
    TooLarge,
    UnsupportedMedia,
)
from routes.written import Values
from runtime.objectstore import NoSuchObject, ObjectStore, Reading, StoreDown
from services.attempt import Attempt, respond, run
from services.care_plans.objects import (
    BUCKET,
    DEFAULT_TYPE,
    disposition,
    media_type,
    new_key,
    stored_name,
)
from services.deps import Deps
from services.errors import Busy
from services.idempotency import Answer
from services.operations import Call
from services.reads import headers
from services.snapshot import snapshot
from services.transaction import Transaction, writing
from services.writes import locked, row_answer

LONGEST_SECONDS = 3600
"""Of an upload, however steady. Far less than an object is left alone for that no row names."""


class Corrupt(Exception):
    """Of the store's content nothing is said."""


_NOTHING_WRITTEN = (Refused, Busy)
"""Then nobody names the new object, and nobody will."""


# --- PUT


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a request says of its body before it comes: digests by the header's name."""

    content_type: str | None
    digests: dict[str, bytes]


async def put_content(call: Call, deps: Deps) -> Response:
    """The row that names the new file. Raises Refused, StoreDown, and what `attempt.run` raises."""
    key, attempt, store = _key(call), call.attempt, _store(deps)
    if_match = headers(call.request, b"if-match")
    wanted = _wanted(call)
    row = await _may_put(attempt, key, if_match, deps)
    object_key = new_key(row["id"], row["revision"])
    body = Receiving(call.request, wanted, pause=deps.write_deadline)
    await store.put(stored_name(BUCKET, object_key), body.chunks())
    values: Values = {
        "object_bucket": BUCKET,
        "object_key": object_key,
        "content_length": body.length,
        "content_sha256": body.sha256.hexdigest(),
    }
    if wanted.content_type is not None:
        values["content_type"] = wanted.content_type
    try:
        answer = await run(attempt, partial(_name, attempt, key, if_match, values), deps)
    except _NOTHING_WRITTEN:
        with suppress(StoreDown):
            await store.delete(stored_name(BUCKET, object_key))
        raise
    return respond(answer)


def _wanted(call: Call) -> Wanted:
    request = call.request
    if "content-encoding" in request.headers:
        raise UnsupportedMedia
    if "content-range" in request.headers:
        raise Malformed
    if int(request.headers.get("content-length", "0")) > LARGEST_STREAM:
        raise TooLarge
    given = request.headers.get("content-type")
    content_type = None if given is None else media_type(given)
    if given is not None and content_type is None:
        raise InvalidFields([FieldError(field="content-type", code="expected_media_type")])
    digests = {
        name: digest
        for name in ("content-digest", "repr-digest")
        if (digest := read_sha256(name, headers(request, name.encode()))) is not None
    }
    return Wanted(content_type=content_type, digests=digests)


async def _may_put(attempt: Attempt, key: Key, if_match: list[bytes], deps: Deps) -> Values:
    """The row as it is now. Looked at before the body is taken, and again when it is there."""
    async with writing(
        deps.pool,
        deps.service,
        attempt.author,
        attempt.correlation_id,
        wait=deps.pool_wait,
        deadline=deps.write_deadline,
    ) as transaction:
        return await _unpublished(attempt, key, if_match, transaction)


async def _unpublished(
    attempt: Attempt, key: Key, if_match: list[bytes], transaction: Transaction
) -> Values:
    row = await locked(attempt.resource, key, if_match, transaction)
    if row["published_at"] is not None:
        raise Conflict([FieldError(field="published_at", code="published_already")])
    return row


async def _name(
    attempt: Attempt,
    key: Key,
    if_match: list[bytes],
    values: Values,
    transaction: Transaction,
) -> Answer:
    await _unpublished(attempt, key, if_match, transaction)
    stored = await transaction.update(attempt.resource, key, values)
    return row_answer(attempt.resource, stored, status=200)


class Receiving:
    """A body as it comes: counted, hashed, and held against what was said of it. `pause`: longest silence in seconds."""

    def __init__(self, request: Request, wanted: Wanted, *, pause: float) -> None:
        self._request = request
        self._wanted = wanted
        self._pause = pause
        self.length = 0
        self.sha256 = hashlib.sha256()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Ends only if all is as it should be. Raises TooLarge, RequestTimeout, Malformed, InvalidFields."""
        loop = asyncio.get_running_loop()
        until, stream = loop.time() + LONGEST_SECONDS, self._request.stream()
        while True:
            try:
                async with asyncio.timeout(min(self._pause, until - loop.time())):
                    chunk = await anext(stream, None)
            except TimeoutError:
                raise RequestTimeout from None
            except ClientDisconnect:
                raise Malformed from None
            if chunk is None:
                break
            self.length += len(chunk)
            if self.length > LARGEST_STREAM:
                raise TooLarge
            self.sha256.update(chunk)
            if chunk:
                yield chunk
        found = self.sha256.digest()
        wrong = [name for name, digest in self._wanted.digests.items() if digest != found]
        if wrong:
            raise InvalidFields([FieldError(field=n, code="does_not_match") for n in wrong])


# --- GET


async def get_content(call: Call, deps: Deps) -> Response:
    """The file, streamed. Raises Refused, StoreDown."""
    row, tag = await _visible(call, deps)
    known = b",".join(headers(call.request, b"if-none-match")).decode("latin-1")
    try:
        reading = await _store(deps).get(stored_name(row["object_bucket"], row["object_key"]))
    except NoSuchObject:
        raise FileNotHere from None
    if row["content_length"] not in (None, reading.size):
        raise Corrupt
    if known and matches(known, tag):
        return Response(status_code=304, headers={"etag": tag})
    found = _headers(row, tag, reading)
    if call.request.method == "HEAD":
        return Response(headers=found)
    chunks = verified(reading.chunks, row["content_sha256"])
    return StreamingResponse(chunks, headers=found)


async def _visible(call: Call, deps: Deps) -> tuple[Values, str]:
    """The whole row, if the caller sees it, and its tag. Nothing of the database is held any more."""
    async with snapshot(deps.pool, deps.service, wait=deps.pool_wait) as view:
        found = await view.whole(call.attempt.resource, _key(call), call.attempt.author.claims)
    if found is None:
        raise NotFound
    return found.row, etag(found.stamp, found.origin)


def _headers(row: Values, tag: str, reading: Reading) -> dict[str, str]:
    found = {
        "content-type": media_type(row["content_type"]) or DEFAULT_TYPE,
        "content-length": str(reading.size),
        "content-disposition": disposition(row["id"], row["revision"], row["content_type"]),
        "x-content-type-options": "nosniff",
        "accept-ranges": "none",
        "etag": tag,
    }
    if row["content_sha256"] is not None:
        found["repr-digest"] = write_sha256(bytes.fromhex(row["content_sha256"]))
    return found


async def verified(chunks: AsyncIterator[bytes], sha256: str | None) -> AsyncIterator[bytes]:
    """The same chunks; the last one only if the whole is what it should be. Raises Corrupt."""
    digest, held = hashlib.sha256(), b""
    async for chunk in chunks:
        digest.update(chunk)
        if held:
            yield held
        held = chunk
    if sha256 is not None and digest.hexdigest() != sha256:
        raise Corrupt
    yield held


def _key(call: Call) -> Key:
    assert call.key is not None  # noqa: S101 - the path has one
    return call.key


def _store(deps: Deps) -> ObjectStore:
    assert deps.objects is not None  # noqa: S101 - this service does not start without one
    return deps.objects
