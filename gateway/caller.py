"""Who calls, and what of the call goes on to the upstreams."""

from dataclasses import dataclass

from runtime.identity import Identity


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A verified user with their own token, which is what both upstreams judge by: no service key, no identity header."""

    identity: Identity
    authorization: bytes
    correlation_id: str
    traceparent: bytes | None = None

    @property
    def staff(self) -> bool:
        return self.identity.staff

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that every upstream gets, and no others of the caller's."""
        headers = [
            (b"authorization", self.authorization),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"user-agent", b"banyan"),
            (b"x-correlation-id", self.correlation_id.encode()),
        ]
        if self.traceparent is not None:
            headers.append((b"traceparent", self.traceparent))
        return headers
