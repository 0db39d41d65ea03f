"""/storage/v1: upload, download, list, remove, signed links, over a folder. A stub of Supabase Storage.

Whoever is signed in may do everything: the policies on storage.objects are not modelled. No resumable uploads, no S3,
no image transformations.

Stand-in, not PostgREST, never for production.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import anyio.to_thread
import orjson
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.supabase.caller import identify
from sandbox.supabase.errors import RestError
from sandbox.supabase.files import BadKey, Exists, Files, Missing, StoredObject
from sandbox.supabase.keys import Keyring, TokenError, User

_LINK_ROLE = "storage-link"


class StorageError(Exception):
    """A refusal in Supabase Storage's shape: HTTP 400 with the real status inside."""

    def __init__(self, status: str, error: str, message: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.message = message


@dataclass(kw_only=True)
class Storage:
    """The Storage side of one stand-in."""

    files: Files
    keys: Keyring

    def routes(self) -> list[Route]:
        """Behind /storage/v1. Only links and nothing else work without a signed-in user."""
        return [
            self._route("/object/sign/{bucket}/{key:path}", self.by_link, "GET", public=True),
            self._route("/object/sign/{bucket}/{key:path}", self.sign, "POST"),
            self._route("/object/sign/{bucket}", self.sign_many, "POST"),
            self._route("/object/list/{bucket}", self.list, "POST"),
            self._route("/object/info/{bucket}/{key:path}", self.info, "GET"),
            self._route("/object/authenticated/{bucket}/{key:path}", self.download, "GET"),
            self._route("/object/{bucket}/{key:path}", self.download, "GET"),
            self._route("/object/{bucket}/{key:path}", self.upload, "POST"),
            self._route("/object/{bucket}/{key:path}", self.update, "PUT"),
            self._route("/object/{bucket}/{key:path}", self.remove, "DELETE"),
            self._route("/object/{bucket}", self.remove_many, "DELETE"),
            self._route("/bucket", self.buckets, "GET"),
            self._route("/bucket", self.create_bucket, "POST"),
            self._route("/bucket/{bucket}", self.bucket, "GET"),
            Route("/{path:path}", _not_built, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]

    def _route(
        self,
        path: str,
        operation: Callable[[Request], Awaitable[Response]],
        method: str,
        *,
        public: bool = False,
    ) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                if not public:
                    self._signed_in(request)
                return await operation(request)
            except Missing:
                return _refusal(StorageError("404", "not_found", "Object not found"))
            except Exists:
                return _refusal(StorageError("409", "Duplicate", "The resource already exists"))
            except BadKey:
                return _refusal(StorageError("400", "InvalidKey", "Invalid key"))
            except StorageError as error:
                return _refusal(error)

        return Route(path, endpoint, methods=[method])

    def _signed_in(self, request: Request) -> None:
        authorization = request.headers.get("authorization")
        try:
            caller = identify(authorization, request.headers.get("apikey", ""), self.keys)
        except RestError as error:
            raise StorageError("403", "Unauthorized", error.message) from None
        if caller.role not in ("authenticated", "service_role"):
            raise StorageError("403", "Unauthorized", "new row violates row-level security policy")

    async def upload(self, request: Request) -> Response:
        """A new object; `x-upsert: true` also replaces one."""
        replace = request.headers.get("x-upsert", "").lower() == "true"
        return await self._write(request, replace=replace)

    async def update(self, request: Request) -> Response:
        """Replaces an object that is there."""
        await _threaded(self.files.find, *_named(request))
        return await self._write(request, replace=True)

    async def _write(self, request: Request, *, replace: bool) -> Response:
        bucket, key = _named(request)
        content, mimetype, cache_control = await _content(request)

        def write() -> StoredObject:
            return self.files.write(
                bucket,
                key,
                content,
                mimetype=mimetype,
                cache_control=cache_control,
                replace=replace,
            )

        stored = await anyio.to_thread.run_sync(write)
        return JSONResponse({"Id": stored.id, "Key": f"{bucket}/{key}"})

    async def download(self, request: Request) -> Response:
        return await self._content_of(*_named(request))

    async def _content_of(self, bucket: str, key: str) -> Response:
        stored, content = await _threaded(self.files.read, bucket, key)
        return Response(
            content,
            headers={
                "Content-Type": stored.mimetype,
                "Cache-Control": stored.cache_control,
                "ETag": stored.etag,
            },
        )

    async def info(self, request: Request) -> Response:
        bucket, key = _named(request)
        stored: StoredObject = await _threaded(self.files.find, bucket, key)
        return JSONResponse(
            {
                "id": stored.id,
                "name": stored.name,
                "bucket_id": bucket,
                "size": stored.size,
                "content_type": stored.mimetype,
                "cache_control": stored.cache_control,
                "etag": stored.etag,
                "metadata": stored.metadata(),
                "last_modified": stored.updated_at,
                "created_at": stored.created_at,
            }
        )

    async def list(self, request: Request) -> Response:
        """What lies directly under `prefix`, folders without an id."""
        bucket = request.path_params["bucket"]
        body = await _object_body(request)
        prefix, search = str(body.get("prefix") or ""), str(body.get("search") or "")
        limit, offset = int(body.get("limit") or 100), int(body.get("offset") or 0)

        def found() -> "list[dict[str, Any]]":
            listed = [_listed(each) for each in self.files.list(bucket, prefix)]
            return [row for row in listed if search.lower() in row["name"].lower()]

        rows = await anyio.to_thread.run_sync(found)
        sort = body.get("sortBy") or {}
        column = sort.get("column", "name")
        if column in ("name", "created_at", "updated_at"):
            rows.sort(key=lambda row: row[column] or "", reverse=sort.get("order") == "desc")
        return JSONResponse(rows[offset : offset + limit])

    async def remove(self, request: Request) -> Response:
        await _threaded(self.files.remove, *_named(request))
        return JSONResponse({"message": "Successfully deleted"})

    async def remove_many(self, request: Request) -> Response:
        """Answers those that were there."""
        bucket = request.path_params["bucket"]
        body = await _object_body(request)
        removed = []
        for key in body.get("prefixes", []):
            try:
                stored = await _threaded(self.files.remove, bucket, str(key))
            except Missing:
                continue
            removed.append({**_listed(stored), "name": stored.name, "bucket_id": bucket})
        return JSONResponse(removed)

    async def sign(self, request: Request) -> Response:
        """A link that works for `expiresIn` seconds without a token of a user."""
        bucket, key = _named(request)
        body = await _object_body(request)
        await _threaded(self.files.find, bucket, key)
        return JSONResponse({"signedURL": self._link(bucket, key, _seconds(body))})

    async def sign_many(self, request: Request) -> Response:
        body = await _object_body(request)
        bucket = request.path_params["bucket"]
        links = [await self._try_link(bucket, str(key), _seconds(body)) for key in body["paths"]]
        return JSONResponse(links)

    async def _try_link(self, bucket: str, key: str, seconds: int) -> dict[str, str | None]:
        try:
            await _threaded(self.files.find, bucket, key)
        except (Missing, BadKey):
            return {"path": key, "error": "Object not found", "signedURL": None}
        return {"path": key, "error": None, "signedURL": self._link(bucket, key, seconds)}

    def _link(self, bucket: str, key: str, seconds: int) -> str:
        claims = {"role": _LINK_ROLE, "url": f"{bucket}/{key}"}
        token = self.keys.mint(User(id="", email=""), seconds=seconds, claims=claims)
        return f"/object/sign/{quote(bucket)}/{quote(key)}?token={token}"

    async def by_link(self, request: Request) -> Response:
        bucket, key = _named(request)
        try:
            claims = self.keys.verify(request.query_params.get("token", ""))
        except TokenError:
            raise StorageError("400", "InvalidJWT", "The link is not valid") from None
        if claims.get("role") != _LINK_ROLE or claims.get("url") != f"{bucket}/{key}":
            raise StorageError("400", "InvalidSignature", "The link is for another object")
        return await self._content_of(bucket, key)

    async def buckets(self, _: Request) -> Response:
        names = await anyio.to_thread.run_sync(self.files.buckets)
        return JSONResponse([_bucket(name) for name in names])

    async def bucket(self, request: Request) -> Response:
        name = request.path_params["bucket"]
        if name not in await anyio.to_thread.run_sync(self.files.buckets):
            raise StorageError("404", "Bucket not found", "Bucket not found")
        return JSONResponse(_bucket(name))

    async def create_bucket(self, request: Request) -> Response:
        body = await _object_body(request)
        name = str(body.get("id") or body.get("name") or "")
        await _threaded(self.files.create_bucket, name)
        return JSONResponse({"name": name})


async def _not_built(_: Request) -> Response:
    return _refusal(StorageError("501", "not_implemented", "The stand-in does not know this"))


def _named(request: Request) -> tuple[str, str]:
    return request.path_params["bucket"], request.path_params["key"]


def _seconds(body: Mapping[str, Any]) -> int:
    return int(body.get("expiresIn") or 60)


async def _threaded(work: Callable[..., Any], *arguments: str) -> Any:
    return await anyio.to_thread.run_sync(work, *arguments)


async def _content(request: Request) -> tuple[bytes, str | None, str]:
    """The bytes, their type and Cache-Control: a raw body, or the one file of a form."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        return await request.body(), kind or None, request.headers.get("cache-control", "no-cache")
    async with request.form(max_files=1) as form:
        file = next((each for each in form.values() if isinstance(each, UploadFile)), None)
        if file is None:
            raise StorageError("400", "InvalidRequest", "There is no file in the form")
        seconds = form.get("cacheControl")
        cache = f"max-age={seconds}" if isinstance(seconds, str) else "no-cache"
        return await file.read(), file.content_type, cache


async def _object_body(request: Request) -> Mapping[str, Any]:
    try:
        body = orjson.loads(await request.body() or b"{}")
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise StorageError("400", "InvalidRequest", "The body must be a JSON object")
    return body


def _listed(found: StoredObject | str) -> dict[str, Any]:
    if isinstance(found, str):
        names = ("id", "updated_at", "created_at", "last_accessed_at", "metadata")
        return {"name": found, **dict.fromkeys(names)}
    return {
        "name": found.name.rpartition("/")[2],
        "id": found.id,
        "updated_at": found.updated_at,
        "created_at": found.created_at,
        "last_accessed_at": found.updated_at,
        "metadata": found.metadata(),
    }


def _bucket(name: str) -> dict[str, Any]:
    return {"id": name, "name": name, "owner": "", "public": False, "type": "STANDARD",
            "file_size_limit": None, "allowed_mime_types": None,
            "created_at": "1970-01-01T00:00:00Z", "updated_at": "1970-01-01T00:00:00Z"}  # fmt: skip


def _refusal(error: StorageError) -> Response:
    return JSONResponse(
        {"statusCode": error.status, "error": error.error, "message": error.message},
        status_code=400,
    )
