"""/auth/v1: sign in by password, refresh, sign out, the signed-in user, the key set. A stub of Supabase Auth.

Refresh tokens rotate: each works once, and using one again ends its whole session. Sessions live in memory and end
with the process. Users are rows of auth.users; passwords come from a file of the sandbox.

Stand-in, not PostgREST, never for production.
"""

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio.to_thread
import asyncpg
import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.supabase import passwords
from sandbox.supabase.caller import identify
from sandbox.supabase.errors import RestError
from sandbox.supabase.keys import LOGIN_SECONDS, Keyring, User

_NEW_ERRORS = "2024-01-01"
_USER = (
    "select id::text, email, raw_app_meta_data::text as app, raw_user_meta_data::text as meta,"
    " to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as created_at from auth.users where "
)


class AuthError(Exception):
    """A refusal in Supabase Auth's error shape."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


@dataclass(kw_only=True)
class Session:
    """One sign-in: its user and the one refresh token that still works."""

    id: str
    user_id: str
    current: str
    ended: bool = False


@dataclass(kw_only=True)
class Sessions:
    """All sign-ins since the start."""

    _by_token: dict[str, Session] = field(default_factory=dict)
    _by_id: dict[str, Session] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)

    def begin(self, user_id: str) -> Session:
        token = secrets.token_urlsafe(16)
        session = Session(id=str(uuid.uuid4()), user_id=user_id, current=token)
        self._by_token[token] = session
        self._by_id[session.id] = session
        return session

    def rotate(self, token: str) -> Session:
        """The session with a new refresh token in it. Raises AuthError; a token used twice ends its session."""
        session = self._by_token.get(token)
        if session is None or session.ended:
            raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Not Found")
        if session.current != token:
            self.end(session.id)
            raise AuthError(
                400, "refresh_token_already_used", "Invalid Refresh Token: Already Used"
            )
        session.current = secrets.token_urlsafe(16)
        self._by_token[session.current] = session
        return session

    def end(self, session_id: str) -> None:
        self._ended.add(session_id)
        if session_id in self._by_id:
            self._by_id[session_id].ended = True

    def end_others(self, user_id: str, *, keep: str | None) -> None:
        for session in self._by_id.values():
            if session.user_id == user_id and session.id != keep:
                self.end(session.id)

    def alive(self, session_id: str) -> bool:
        """Tokens minted beside Auth, as the sandbox's sample tokens are, have sessions nobody ended."""
        return session_id not in self._ended


@dataclass(kw_only=True)
class Auth:
    """The Auth side of one stand-in. `pool` may read auth.users."""

    pool: asyncpg.Pool
    keys: Keyring
    state: Path
    sessions: Sessions = field(default_factory=Sessions)

    async def token(self, request: Request) -> Response:
        """`grant_type` password or refresh_token."""
        try:
            body = await _json(request)
            grant = request.query_params.get("grant_type")
            if grant == "password":
                return await self._sign_in(body)
            if grant == "refresh_token":
                return await self._refresh(body)
            raise AuthError(400, "validation_failed", "unsupported_grant_type")
        except AuthError as error:
            return refusal(request, error)

    async def _sign_in(self, body: Mapping[str, Any]) -> Response:
        email, password = body.get("email"), body.get("password")
        if not isinstance(email, str) or not isinstance(password, str):
            raise AuthError(400, "validation_failed", "missing email or password")
        fits = await anyio.to_thread.run_sync(passwords.fits, self.state, email.lower(), password)
        user = await self._user("lower(email) = $1", email.lower()) if fits else None
        if user is None:
            raise AuthError(400, "invalid_credentials", "Invalid login credentials")
        return self._grant(user, self.sessions.begin(user.id))

    async def _refresh(self, body: Mapping[str, Any]) -> Response:
        token = body.get("refresh_token")
        if not isinstance(token, str):
            raise AuthError(400, "validation_failed", "refresh_token required")
        session = self.sessions.rotate(token)
        user = await self._user("id = $1::text::uuid", session.user_id)
        if user is None:
            raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Not Found")
        return self._grant(user, session)

    def _grant(self, user: User, session: Session) -> Response:
        token = self.keys.mint(user, session_id=session.id)
        return JSONResponse(
            {
                "access_token": token,
                "token_type": "bearer",
                "expires_in": LOGIN_SECONDS,
                "expires_at": self.keys.verify(token)["exp"],
                "refresh_token": session.current,
                "user": shown(user),
            },
            headers={"Cache-Control": "no-store"},
        )

    async def user(self, request: Request) -> Response:
        """Who the bearer token says, as long as the session has not ended."""
        try:
            claims = self._claims(request)
            user = await self._user("id = $1::text::uuid", str(claims["sub"]))
            if user is None:
                raise AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
            return JSONResponse(shown(user))
        except AuthError as error:
            return refusal(request, error)

    async def logout(self, request: Request) -> Response:
        """`scope` global (all sessions of the user), local (this one) or others."""
        try:
            claims = self._claims(request)
        except AuthError as error:
            return refusal(request, error)
        session, user = str(claims.get("session_id", "")), str(claims["sub"])
        scope = request.query_params.get("scope", "global")
        if scope != "others":
            self.sessions.end(session)
        if scope != "local":
            self.sessions.end_others(user, keep=session if scope == "others" else None)
        return Response(status_code=204)

    async def jwks(self, _: Request) -> Response:
        return JSONResponse(self.keys.jwks(), headers={"Cache-Control": "public, max-age=600"})

    async def health(self, _: Request) -> Response:
        return JSONResponse({"name": "stand-in for Supabase Auth", "version": "stand-in"})

    async def not_built(self, request: Request) -> Response:
        return refusal(
            request, AuthError(501, "not_implemented", "The stand-in does not know this.")
        )

    def _claims(self, request: Request) -> Mapping[str, Any]:
        """The claims of a signed-in user's token. Raises AuthError."""
        authorization = request.headers.get("authorization")
        try:
            caller = identify(authorization, request.headers.get("apikey", ""), self.keys)
        except RestError as error:
            raise AuthError(403, "bad_jwt", f"invalid JWT: {error.message}") from None
        if "sub" not in caller.claims:
            raise AuthError(401, "no_authorization", "This endpoint requires a valid Bearer token")
        if not self.sessions.alive(str(caller.claims.get("session_id", ""))):
            raise AuthError(
                403, "session_not_found", "Session from session_id claim in JWT does not exist"
            )
        return caller.claims

    async def _user(self, condition: str, value: str) -> User | None:
        row = await self.pool.fetchrow(_USER + condition, value)
        if row is None:
            return None
        provider = {"provider": "email", "providers": ["email"]}
        return User(
            id=row["id"],
            email=row["email"] or "",
            app_metadata=provider | orjson.loads(row["app"]),
            user_metadata=orjson.loads(row["meta"]),
            created_at=row["created_at"],
        )


def shown(user: User) -> dict[str, Any]:
    """A user as Supabase Auth describes one."""
    return {
        "id": user.id,
        "aud": "authenticated",
        "role": "authenticated",
        "email": user.email,
        "email_confirmed_at": user.created_at,
        "phone": "",
        "confirmed_at": user.created_at,
        "last_sign_in_at": user.created_at,
        "app_metadata": dict(user.app_metadata),
        "user_metadata": dict(user.user_metadata),
        "identities": [],
        "created_at": user.created_at,
        "updated_at": user.created_at,
        "is_anonymous": False,
    }


def refusal(request: Request, error: AuthError) -> Response:
    """The error in the shape that the client's API version asks for."""
    if request.headers.get("x-supabase-api-version", "") >= _NEW_ERRORS:
        return JSONResponse(
            {"code": error.code, "message": error.message},
            status_code=error.status,
            headers={"X-Supabase-Api-Version": _NEW_ERRORS},
        )
    return JSONResponse(
        {"code": error.status, "error_code": error.code, "msg": error.message},
        status_code=error.status,
    )


async def _json(request: Request) -> Mapping[str, Any]:
    try:
        body = orjson.loads(await request.body() or b"{}")
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise AuthError(400, "bad_json", "Could not parse request body as JSON")
    return body
