"""`ObjectStore`: files under names, in a folder, in an S3 bucket or in memory. Streamed both ways; one put is whole or not there.

NoSuchObject   nothing is there under this name
StoreBusy      too many are being put at once; nothing was read of this one
StoreDown      the store cannot be reached, or refuses; what was put is not there, what was read is cut short
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, S3Store

from runtime.objecturl import ObjectUrl, read_object_url

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import S3Config

PART_BYTES = 5 * 1024 * 1024
"""S3 takes no smaller parts. With one on its way and one being filled, a put holds two of them."""
_PARTS_AT_ONCE = 1
MOST_PUTS = 16
"""At once in a process: each holds its parts in memory."""
_READ_BYTES = 256 * 1024
_CONNECT, _SILENCE, _WHOLE = "2s", "10s", "1h"
"""Of a request to S3; a file goes as fast as its reader takes it."""
_RETRIES, _RETRY_FOR = 2, timedelta(seconds=5)

Store: TypeAlias = LocalStore | MemoryStore | S3Store


class NoSuchObject(Exception):
    pass


class StoreBusy(Exception):
    pass


class StoreDown(Exception):
    """The library's own text is not kept: it holds names and answers of the store."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What a list says of an object."""

    name: str
    size: int
    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Reading:
    """An object that is being read; `chunks` raises StoreDown where it breaks off."""

    size: int
    chunks: AsyncIterator[bytes]


class ObjectStore:
    """Names are parts joined by `/`; no part is empty, `.` or `..`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.putting = 0
        """Puts that are under way."""

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """All that comes, or nothing: also where `chunks` raises, which comes out as it is. Raises StoreBusy, StoreDown.

        A put that is cancelled leaves nothing either, but keeps asking `chunks` for a while: let them end by an error instead.
        """
        if self.putting >= MOST_PUTS:
            raise StoreBusy
        self.putting += 1
        try:
            await obstore.put_async(
                self._store, name, chunks, chunk_size=PART_BYTES, max_concurrency=_PARTS_AT_ONCE
            )
        except BaseError:  # no OSError: it would be one of `chunks`
            raise StoreDown from None
        finally:
            self.putting -= 1

    async def get(self, name: str) -> Reading:
        """Raises NoSuchObject, StoreDown."""
        try:
            found = await obstore.get_async(self._store, name)
        except (FileNotFoundError, ValueError):  # the latter: nothing can be under such a name
            raise NoSuchObject from None
        except (BaseError, OSError):
            raise StoreDown from None
        return Reading(size=found.meta["size"], chunks=_chunks(found))

    async def delete(self, name: str) -> None:
        """It may have gone already. Raises StoreDown."""
        try:
            await obstore.delete_async(self._store, name)
        except FileNotFoundError:
            return
        except (BaseError, OSError):
            raise StoreDown from None

    async def list(self, prefix: str) -> AsyncIterator[Stored]:
        """Everything below `prefix`, in no order. Raises StoreDown."""
        try:
            async for batch in obstore.list(self._store, prefix):
                for found in batch:
                    yield Stored(
                        name=found["path"], size=found["size"], changed_at=found["last_modified"]
                    )
        except (BaseError, OSError):
            raise StoreDown from None


async def _chunks(found: "GetResult") -> AsyncIterator[bytes]:
    try:
        async for chunk in found.stream(min_chunk_size=_READ_BYTES):
            yield bytes(chunk)
    except (BaseError, OSError):
        raise StoreDown from None


def open_store(url: str) -> ObjectStore:
    """The store of a setting; a folder is made, for this user alone. Raises ObjectUrlInvalid."""
    where = read_object_url(url)
    match where.scheme:
        case "memory":
            return ObjectStore(MemoryStore())
        case "file":
            folder = Path(where.path)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return ObjectStore(LocalStore(folder))
        case _:
            return ObjectStore(_s3(where))


def _s3(where: ObjectUrl) -> S3Store:
    options = where.options
    config: S3Config = {"region": options.get("region", "us-east-1")}
    if "endpoint" in options:
        config["endpoint"] = options["endpoint"]
    if "access_key_id" in options:
        config["access_key_id"] = options["access_key_id"]
        config["secret_access_key"] = options.get("secret_access_key", "")
    return S3Store(
        where.bucket,
        prefix=where.path.strip("/") or None,
        config=config,
        client_options={
            "allow_http": not where.encrypted,
            "connect_timeout": _CONNECT,
            "read_timeout": _SILENCE,
            "timeout": _WHOLE,
        },
        retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_FOR},
    )
