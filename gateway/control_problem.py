"""Error answers of the control API: problem documents (RFC 9457) with fixed sentences, and reasons for operators.

ControlError
  NotSignedIn         401, for every path alike
  KeysMissing         503, nobody's token can be judged at the moment
  TooBusy             503, too many forged tokens at the moment
  NotForYou           404, for whoever is no operator, and for what is not there: nobody else learns which
  RoleNeeded          403, an operator without the role
  BadBody             400, `errors` names the members
  TooLarge            413
  MethodNotAllowed    405
and FlagError (runtime.flagset), EndsByItself (runtime.alertdesk), translated by `problem_for`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from routes.problem import FieldError
from runtime.alertdesk import EndsByItself
from runtime.flagchange import ChangeRefused
from runtime.flagset import FlagError, FlagSetInvalid, UnknownScope
from runtime.flagstore import ApprovalSpent, StoreUnavailable, VersionMismatch


class ControlError(Exception):
    """Facts on the instance, words in the table below."""

    code = "internal"
    reasons: Sequence[str] = ()
    errors: Sequence[FieldError] = ()


class NotSignedIn(ControlError):
    code = "unauthenticated"


class KeysMissing(ControlError):
    code = "keys_unavailable"


class TooBusy(ControlError):
    code = "busy"


class NotForYou(ControlError):
    code = "not_found"


class RoleNeeded(ControlError):
    code = "role_needed"

    def __init__(self, *roles: str) -> None:
        super().__init__(*roles)
        self.reasons = (f"this needs the role {' or '.join(roles)} in your token's banyan_roles",)


class BadBody(ControlError):
    code = "invalid_request"

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(*(error.field for error in errors))
        self.errors = errors


class TooLarge(ControlError):
    code = "too_large"


class MethodNotAllowed(ControlError):
    code = "method_not_allowed"

    def __init__(self, allowed: str) -> None:
        super().__init__(allowed)
        self.allowed = allowed


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One error answer, ready to send."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


_WORDS: Mapping[str, tuple[int, str, str]] = {
    "unauthenticated": (
        401,
        "Not signed in",
        "Send an operator's access token: `Authorization: Bearer <token>`.",
    ),
    "keys_unavailable": (
        503,
        "Unavailable",
        "The token issuer's keys cannot be had, so nobody can be let in. The kill-switch file works without them.",
    ),
    "busy": (503, "Busy", "Too many tokens to check at once. Try again in a moment."),
    "not_found": (404, "Not found", "There is no such thing, or you may not see it."),
    "role_needed": (403, "Not allowed", "You are an operator, but without the role for this."),
    "invalid_request": (
        400,
        "Invalid request",
        "`errors` names what is wrong in body, query or header.",
    ),
    "method_not_allowed": (405, "Method not allowed", "This path knows other methods."),
    "too_large": (413, "Too large", "The body is too large."),
    "wrong_host": (421, "Wrong host", "This server does not answer for that host."),
    "unknown_entity": (404, "Unknown entity", "`reasons` lists what is known."),
    "version_mismatch": (
        412,
        "The flags have changed",
        "Somebody changed them after you looked: look again.",
    ),
    "approval_spent": (
        409,
        "No such approval",
        "It was used, is too old, or never was: ask an approver for a new one.",
    ),
    "flag_set_invalid": (422, "Invalid flag set", "The result may not be stored; see `reasons`."),
    "ends_by_itself": (
        409,
        "Not by hand",
        "Such an alert is over when its cause is; its runbook says what to do. You can acknowledge it.",
    ),
    "store_unavailable": (503, "Unavailable", "Nothing was changed. Try again in a moment."),
    "refused": (409, "Refused", "The change is not possible as asked; see `reasons`."),
    "internal": (500, "Internal error", "Our mistake. The correlation id finds it in the logs."),
}


def problem_for(error: Exception, correlation_id: str) -> Answer:
    """The answer to an error; `internal` for what nobody foresaw."""
    code, word, reasons, more = _facts(error)
    status, title, detail = _WORDS[word]
    body: dict[str, Any] = {
        "type": f"urn:banyan:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "correlation_id": correlation_id,
        **more,
    }
    if reasons:
        body["reasons"] = list(reasons)
    if isinstance(error, ControlError) and error.errors:
        body["errors"] = [{"field": e.field, "code": e.code} for e in error.errors]
    return Answer(status=status, body=orjson.dumps(body), headers=_headers(error, status))


def _headers(error: Exception, status: int) -> Mapping[str, str]:
    """What the status requires beside the body."""
    if isinstance(error, MethodNotAllowed):
        return {"allow": error.allowed}
    return {401: {"www-authenticate": "Bearer"}, 503: {"retry-after": "1"}}.get(status, {})


def _facts(error: Exception) -> tuple[str, str, Sequence[str], Mapping[str, Any]]:
    """Code, key of the words, reasons, and what else the caller needs."""
    match error:
        case ControlError():
            return error.code, error.code, error.reasons, {}
        case ChangeRefused():
            return error.code, "refused", error.reasons, {}
        case UnknownScope():
            return "unknown_entity", "unknown_entity", (str(error),), {}
        case FlagSetInvalid():
            return "flag_set_invalid", "flag_set_invalid", error.problems, {}
        case VersionMismatch():
            return "version_mismatch", "version_mismatch", (), {"version": error.version}
        case ApprovalSpent():
            return "approval_spent", "approval_spent", (), {}
        case EndsByItself():
            return "ends_by_itself", "ends_by_itself", (), {}
        case StoreUnavailable():
            return "store_unavailable", "store_unavailable", (str(error),), {}
        case FlagError():
            return "refused", "refused", (str(error),), {}
    return "internal", "internal", (), {}
