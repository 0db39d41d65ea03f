"""Why a request is not answered because of what it is: the same refusals from gateway and services.

Refused
  Unclear                                                           not a request that has one meaning, or not for us to read:
    Malformed, UriTooLong, HeadersTooLarge, TooLarge, WrongHost,      its connection is closed, since nobody knows where the
    RequestTimeout, ExpectationFailed, UnsupportedMedia,              next one begins
    NotImplementedHere, HttpVersion, NoSuchMethod
  RateLimited                                                       too often
  Unauthenticated, Forbidden                                        who asks
  NoSuchRoute, NotFound, FileNotHere, MethodNotAllowed              what is asked for
  InvalidQuery, InvalidKey                                          how; `errors` names what
  InvalidBody, InvalidFields, WrongContentType                      what is to be written
  IdempotencyKeyMissing, IdempotencyKeyInvalid,                     how a repeat is told from a new request
    IdempotencyInFlight, IdempotencyMismatch
  IllegalTransition, Conflict, VersionChanged, Claimed, NotClaimed,  what is there, or who has it, does not allow the write
    NotHere, NotHereYet, Fenced
"""

from collections.abc import Sequence

from routes.problem import FieldError


class Refused(Exception):
    """Facts on the instance, words in routes.problem under `code`."""

    code = "malformed"
    errors: Sequence[FieldError] = ()
    legal: Sequence[str] | None = None


class Unclear(Refused):
    pass


class Malformed(Unclear):
    pass


class UriTooLong(Unclear):
    code = "uri_too_long"


class HeadersTooLarge(Unclear):
    code = "headers_too_large"


class TooLarge(Unclear):
    code = "too_large"


class WrongHost(Unclear):
    code = "wrong_host"


class RequestTimeout(Unclear):
    code = "request_timeout"


class ExpectationFailed(Unclear):
    code = "expectation_failed"


class UnsupportedMedia(Unclear):
    code = "unsupported_media"


class NotImplementedHere(Unclear):
    code = "not_implemented"


class HttpVersion(Unclear):
    code = "http_version"


class NoSuchMethod(Unclear):
    """CONNECT, TRACE: never, anywhere."""

    code = "method_not_allowed"
    allowed = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"


class RateLimited(Refused):
    code = "rate_limited"

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Unauthenticated(Refused):
    code = "unauthenticated"


class Forbidden(Refused):
    code = "forbidden"


class NoSuchRoute(Refused):
    code = "no_such_route"


class NotFound(Refused):
    code = "not_found"


class FileNotHere(Refused):
    """The row is there; its file has not been put in place, or has not come over yet."""

    code = "file_not_here"


class MethodNotAllowed(Refused):
    code = "method_not_allowed"

    def __init__(self, allowed: str = "GET, HEAD") -> None:
        super().__init__(allowed)
        self.allowed = allowed


class InvalidQuery(Refused):
    code = "invalid_query"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.errors = (FieldError(field=field, code=reason),)


class InvalidBody(Refused):
    code = "invalid_body"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.errors = (FieldError(field="body", code=reason),)


class InvalidFields(Refused):
    code = "invalid_fields"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(*errors)
        self.errors = tuple(errors)


class WrongContentType(Refused):
    code = "wrong_content_type"


class IdempotencyKeyMissing(Refused):
    code = "idempotency_key_missing"


class IdempotencyKeyInvalid(Refused):
    code = "idempotency_key_invalid"


class IdempotencyInFlight(Refused):
    code = "idempotency_in_flight"


class IdempotencyMismatch(Refused):
    code = "idempotency_mismatch"


class IllegalTransition(Refused):
    """`legal`: the states to which the row may go from where it is."""

    code = "illegal_transition"

    def __init__(self, field: str, legal: Sequence[str]) -> None:
        super().__init__(field, *legal)
        self.errors = (FieldError(field=field, code="no_such_way"),)
        self.legal = tuple(legal)


class Conflict(Refused):
    """Another row stands in the way: `errors` names the fields in which the two meet."""

    code = "conflict"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(*errors)
        self.errors = tuple(errors)


class VersionChanged(Refused):
    code = "version_changed"


class Claimed(Refused):
    """Somebody else has a lease on it, for so many more seconds."""

    code = "claimed"

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class NotClaimed(Refused):
    """Only whoever has the lease may do it, or had it and nobody took it over."""

    code = "not_claimed"


class NotHere(Refused):
    """An operation that only a service can do, asked by a user whom legacy still serves."""

    code = "not_available_at_stage"


class NotHereYet(Refused):
    """The side that takes the write does not know a row that the other one still shows to this user: nothing was applied."""

    code = "not_here_yet"


class Fenced(Refused):
    """The authority changed hands under the write (data-rules section 7): nothing was applied."""

    code = "authority_changed"


class InvalidKey(Refused):
    code = "invalid_key"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.errors = (FieldError(field="key", code=reason),)
