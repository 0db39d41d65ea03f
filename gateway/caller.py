"""Who calls, and what of the call goes on to the upstreams."""

from dataclasses import dataclass

from gateway.edge.request import Request
from gateway.facts import Facts
from gateway.user import User
from runtime.identity import Identity


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A user, and the call that they are making."""

    user: User
    correlation_id: str
    traceparent: bytes | None = None

    @property
    def identity(self) -> Identity:
        return self.user.identity

    @property
    def staff(self) -> bool:
        return self.user.identity.staff

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that every upstream gets, and no others of the caller's."""
        headers = [
            (b"authorization", b"Bearer " + self.user.token),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"user-agent", b"banyan"),
            (b"x-correlation-id", self.correlation_id.encode()),
        ]
        if self.traceparent is not None:
            headers.append((b"traceparent", self.traceparent))
        return headers


def caller_of(request: Request, user: User, facts: Facts) -> Caller:
    return Caller(
        user=user,
        correlation_id=facts.correlation_id,
        traceparent=request.header(b"traceparent"),
    )
