"""Everything the REST side can refuse, with the statuses that PostgREST's documentation gives them.

RestError            a code, its words, and the status from the tables below
  Unsupported        PGRST127: the real one may know it, the stand-in does not; never something similar instead

Stand-in, not PostgREST, never for production.
"""

import json
from collections.abc import Mapping

import asyncpg
import orjson
from starlette.responses import Response

STATUS: Mapping[str, int] = {
    "PGRST000": 503,
    "PGRST001": 503,
    "PGRST002": 503,
    "PGRST003": 504,
    "PGRST100": 400,
    "PGRST101": 405,
    "PGRST102": 400,
    "PGRST103": 416,
    "PGRST105": 405,
    "PGRST106": 406,
    "PGRST107": 406,
    "PGRST108": 400,
    "PGRST111": 500,
    "PGRST112": 500,
    "PGRST114": 400,
    "PGRST115": 400,
    "PGRST116": 406,
    "PGRST117": 405,
    "PGRST118": 400,
    "PGRST120": 400,
    "PGRST121": 500,
    "PGRST122": 400,
    "PGRST123": 400,
    "PGRST124": 400,
    "PGRST125": 404,
    "PGRST127": 400,
    "PGRST128": 400,
    "PGRST200": 400,
    "PGRST201": 300,
    "PGRST202": 404,
    "PGRST203": 300,
    "PGRST204": 400,
    "PGRST205": 404,
    "PGRST301": 401,
    "PGRST302": 401,
    "PGRST303": 401,
}

STALE_CACHE = frozenset({"PGRST200", "PGRST202", "PGRST204", "PGRST205", "42703"})
"""Codes that may only mean that the schema has changed since it was read."""

# Longest prefix first: a whole SQLSTATE wins over its class.
_SQLSTATES: tuple[tuple[str, int], ...] = (
    ("23503", 409),
    ("23505", 409),
    ("25006", 405),
    ("42883", 404),
    ("42P01", 404),
    ("42P17", 500),
    ("53400", 500),
    ("57P01", 503),
    ("P0001", 400),
    ("08", 503),
    ("09", 500),
    ("0L", 403),
    ("0P", 403),
    ("25", 500),
    ("28", 403),
    ("2D", 500),
    ("38", 500),
    ("39", 500),
    ("3B", 500),
    ("40", 500),
    ("53", 503),
    ("54", 500),
    ("55", 500),
    ("57", 500),
    ("58", 500),
    ("F0", 500),
    ("HV", 500),
    ("P0", 500),
    ("XX", 500),
)


class RestError(Exception):
    """An answer in PostgREST's error shape."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: object = None,
        hint: str | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.details = details
        self.hint = hint
        self.status = STATUS[code] if status is None else status
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The four keys that every error of PostgREST has."""
        return orjson.dumps(
            {
                "code": self.code,
                "details": self.details,
                "hint": self.hint,
                "message": self.message,
            }
        )

    def response(self) -> Response:
        """The whole answer; `Proxy-Status` names the code for those who do not read bodies."""
        return Response(
            self.body(),
            status_code=self.status,
            headers={
                "Content-Type": "application/json; charset=utf-8",
                "Proxy-Status": f"PostgREST; error={self.code}",
                **self.headers,
            },
        )


class Unsupported(RestError):
    """PGRST127. `what` is a fixed phrase of ours, never the caller's text."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "PGRST127", "Feature not implemented", details=f"The stand-in does not know {what}."
        )


def from_postgres(error: asyncpg.PostgresError, *, anonymous: bool) -> RestError:
    """The server's own error with the status its SQLSTATE has; 42501 is 401 for who is not signed in."""
    sqlstate = str(error.sqlstate)
    if sqlstate == "PGRST":
        return _raised_whole(error)
    status = _status(sqlstate, error.message or "", anonymous=anonymous)
    return RestError(
        sqlstate,
        error.message or "",
        details=error.detail,
        hint=error.hint,
        status=status,
        headers={"WWW-Authenticate": "Bearer"} if status == 401 else None,
    )


def _status(sqlstate: str, message: str, *, anonymous: bool) -> int:
    if sqlstate == "42501":
        return 401 if anonymous else 403
    if (
        sqlstate == "21000"
    ):  # pg-safeupdate raises it for the client's fault, PostgreSQL for its own
        return 400 if message.endswith("requires a WHERE clause") else 500
    if sqlstate == "22023":  # the role of a token that the database does not have
        return 401 if message.startswith("role ") and message.endswith("does not exist") else 400
    if sqlstate.startswith("PT"):  # raise sqlstate 'PT404'
        return int(sqlstate[2:]) if sqlstate[2:].isdecimal() else 500
    return next((status for prefix, status in _SQLSTATES if sqlstate.startswith(prefix)), 400)


def _raised_whole(error: asyncpg.PostgresError) -> RestError:
    """`raise sqlstate 'PGRST'`: message and detail are JSON and decide body, status and headers."""
    try:
        words = json.loads(error.message or "")
        control = json.loads(error.detail or "")
        return RestError(
            words["code"],
            words["message"],
            details=words.get("details"),
            hint=words.get("hint"),
            status=int(control["status"]),
            headers=control["headers"],
        )
    except (ValueError, KeyError, TypeError):
        return RestError("PGRST121", "The RAISE SQLSTATE 'PGRST' error holds no usable JSON")
