"""Why a request is not answered because of what it is: the same refusals from gateway and services.

Refused
  Malformed, UriTooLong, HeadersTooLarge, TooLarge, WrongHost       not a request that has one meaning
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


class Malformed(Refused):
    pass


class UriTooLong(Refused):
    code = "uri_too_long"


class HeadersTooLarge(Refused):
    code = "headers_too_large"


class TooLarge(Refused):
    code = "too_large"


class WrongHost(Refused):
    code = "wrong_host"


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
