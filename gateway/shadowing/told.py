"""`Told`: an answer as it is compared: what came of it, by reference, up to a length."""

from typing import Final

LARGEST: Final = 1024 * 1024
"""Bytes of a body; a longer one is not compared."""


class Told:
    """`etag` and `content_type` are empty where there is none."""

    __slots__ = ("content_type", "etag", "pieces", "seconds", "size", "status")

    def __init__(self, status: int, content_type: bytes, etag: bytes) -> None:
        self.status = status
        self.content_type = content_type
        self.etag = etag
        self.pieces: list[bytes] = []
        self.size = 0
        self.seconds = 0.0
        """How long it took, to its last byte."""

    def take(self, data: bytes) -> bool:
        """More of the body. False: it is too long by now, and nothing is kept of it."""
        self.size += len(data)
        if self.size > LARGEST:
            self.pieces.clear()
            return False
        if data:
            self.pieces.append(data)
        return True

    @property
    def whole(self) -> bool:
        return self.size <= LARGEST

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def is_same(self, other: "Told") -> bool:
        """The same bytes, of the same meaning."""
        if (
            self.status != other.status
            or self.size != other.size
            or self.etag != other.etag
            or self.content_type != other.content_type
        ):
            return False
        body, at = self.body, 0
        for piece in other.pieces:  # not joined: that would be a copy of it all
            if not body.startswith(piece, at):
                return False
            at += len(piece)
        return True

    @property
    def has_rows(self) -> bool:
        """Whether a successful answer shows anything at all. Of a list without rows every side writes the same first bytes."""
        return self.status == 200 and not (self.pieces and self.pieces[0].startswith(_NO_ROWS))


_NO_ROWS: Final = b'{"items":[]'
