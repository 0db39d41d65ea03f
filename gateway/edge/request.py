"""`Request`: the head of a request that was found clear, as the pipeline sees it."""

from gateway.edge.body import Body


class Request:
    """`path` and `query` are raw bytes; header names are lower case; `peer` is the client's address.

    The headers are those of the head: trailers never get here. Treat it as frozen.
    """

    __slots__ = ("body", "headers", "method", "path", "peer", "query", "repeated")

    def __init__(
        self,
        *,
        method: str,
        path: bytes,
        query: bytes,
        headers: dict[bytes, bytes],
        repeated: list[tuple[bytes, bytes]] | None = None,
        peer: str = "",
        body: Body | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        """The first of each name."""
        self.repeated = [] if repeated is None else repeated
        """The further ones, in order."""
        self.peer = peer
        self.body = body

    def header(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name."""
        return self.headers.get(name)

    def all(self, name: bytes) -> list[bytes]:
        """Every header of that name, in order."""
        first = self.headers.get(name)
        if first is None:
            return []
        return [first, *(value for key, value in self.repeated if key == name)]
