"""Why a request is not answered because of what it is: the same refusals from gateway and services.

Refused
  Unclear                                                           not a request that has one meaning, or not for us to read:
    Malformed, UriTooLong, HeadersTooLarge, TooLarge, WrongHost,      its connection is closed, since nobody knows where the
    RequestTimeout, ExpectationFailed, UnsupportedMedia,              next one begins
    NotImplementedHere, HttpVersion, NoSuchMethod
  RateLimited                                                       too often
  Unauthenticated, Forbidden                                        who asks
  NoSuchRoute, NotFound, MethodNotAllowed                           what is asked for
  InvalidQuery, InvalidKey                                          how; `errors` names what
"""

from collections.abc import Sequence

from routes.problem import FieldError


class Refused(Exception):
    """Facts on the instance, words in routes.problem under `code`."""

    code = "malformed"
    errors: Sequence[FieldError] = ()


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


class InvalidKey(Refused):
    code = "invalid_key"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.errors = (FieldError(field="key", code=reason),)
