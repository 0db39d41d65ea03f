"""The folder behind Storage: `<bucket>/<path>` are the objects, `.meta/<bucket>/<path>.json` what was said of them.

A file that was put there by hand is an object, too; its type is guessed from its name.

Stand-in, not PostgREST, never for production.
"""

import hashlib
import mimetypes
import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

_MAX_KEY = 900


class BadKey(ValueError):
    """A bucket or object name that could leave the folder, or that no file can have."""


class Missing(KeyError):
    """No such bucket or object."""


class Exists(ValueError):
    """An object of that name is there already."""


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One object without its bytes. Times are ISO 8601, UTC."""

    name: str
    id: str
    size: int
    mimetype: str
    cache_control: str
    etag: str
    created_at: str
    updated_at: str

    def metadata(self) -> dict[str, Any]:
        return {
            "eTag": self.etag,
            "size": self.size,
            "mimetype": self.mimetype,
            "cacheControl": self.cache_control,
            "lastModified": self.updated_at,
            "contentLength": self.size,
            "httpStatusCode": 200,
        }


@dataclass(frozen=True, kw_only=True)
class Files:
    """Blocking; call it from a thread. Names are checked: BadKey."""

    folder: Path

    def buckets(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(
            each.name
            for each in self.folder.iterdir()
            if each.is_dir() and not each.name.startswith(".")
        )

    def create_bucket(self, bucket: str) -> None:
        """Raises Exists."""
        try:
            self._bucket(bucket).mkdir(parents=True)
        except FileExistsError:
            raise Exists(bucket) from None

    def write(
        self,
        bucket: str,
        key: str,
        content: bytes,
        *,
        mimetype: str | None,
        cache_control: str,
        replace: bool,
    ) -> StoredObject:
        """Store whole or not at all. Raises Missing for the bucket, Exists unless `replace`."""
        path = self._object(bucket, key)
        before = self.find(bucket, key) if path.is_file() else None
        if before is not None and not replace:
            raise Exists(key)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        stored = StoredObject(
            name=key,
            id=before.id if before else str(uuid.uuid4()),
            size=len(content),
            mimetype=mimetype or _guess(key),
            cache_control=cache_control,
            etag=_etag(content),
            created_at=before.created_at if before else now,
            updated_at=now,
        )
        try:
            _replace(path, content)
            _replace(self._meta(bucket, key), orjson.dumps(stored))
        except (NotADirectoryError, FileExistsError, IsADirectoryError):
            raise BadKey(key) from None
        return stored

    def read(self, bucket: str, key: str) -> tuple[StoredObject, bytes]:
        """Raises Missing."""
        return self.find(bucket, key), self._object(bucket, key).read_bytes()

    def find(self, bucket: str, key: str) -> StoredObject:
        """Raises Missing."""
        path = self._object(bucket, key)
        if not path.is_file():
            raise Missing(key)
        meta = self._meta(bucket, key)
        if meta.is_file():
            return StoredObject(**orjson.loads(meta.read_bytes()))
        at = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="milliseconds")
        return StoredObject(
            name=key,
            id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{bucket}/{key}")),
            size=path.stat().st_size,
            mimetype=_guess(key),
            cache_control="no-cache",
            etag=_etag(path.read_bytes()),
            created_at=at,
            updated_at=at,
        )

    def remove(self, bucket: str, key: str) -> StoredObject:
        """Raises Missing."""
        stored = self.find(bucket, key)
        self._object(bucket, key).unlink()
        self._meta(bucket, key).unlink(missing_ok=True)
        return stored

    def list(self, bucket: str, prefix: str) -> Iterator[StoredObject | str]:
        """What lies directly in the folder `prefix`: objects with their last name, and the names of folders."""
        root = self._existing(bucket)
        folder = root.joinpath(*_parts(prefix)) if prefix.strip("/") else root
        if not folder.is_dir():
            return
        for each in sorted(folder.iterdir(), key=lambda path: path.name):
            if each.is_dir():
                yield each.name
            else:
                yield self.find(bucket, each.relative_to(root).as_posix())

    def _bucket(self, bucket: str) -> Path:
        if len(_parts(bucket)) != 1:
            raise BadKey(bucket)
        return self.folder / bucket

    def _existing(self, bucket: str) -> Path:
        path = self._bucket(bucket)
        if not path.is_dir():
            raise Missing(bucket)
        return path

    def _object(self, bucket: str, key: str) -> Path:
        return self._existing(bucket).joinpath(*_parts(key))

    def _meta(self, bucket: str, key: str) -> Path:
        *folders, name = _parts(key)
        return self.folder.joinpath(".meta", bucket, *folders, f"{name}.json")


def _parts(key: str) -> list[str]:
    """The names on the way to an object. Hidden names are ours, `..` leads out."""
    parts = key.strip("/").split("/")
    if len(key) > _MAX_KEY or any(
        not part or part.startswith(".") or "\\" in part or not part.isprintable()
        or len(part.encode()) > 240
        for part in parts
    ):  # fmt: skip
        raise BadKey(key)
    return parts


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".part")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    try:
        Path(part).replace(path)
    except OSError:
        Path(part).unlink()
        raise


def _guess(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
