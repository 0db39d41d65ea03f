"""Entity tags of items: `"<updated_at in µs>.<origin>"` (decisions.md 4). A row version alone can come back with other content."""

from datetime import UTC, datetime
from urllib.parse import quote

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def etag(stamp: str, origin: str) -> str:
    """`stamp`: updated_at (created_at of an append-only row) as PostgreSQL writes it in JSON."""
    try:
        micros = (datetime.fromisoformat(stamp) - _EPOCH) // datetime.resolution
    except ValueError:
        # PostgreSQL also has infinity, years above 9999 and years BC: one such row must not fail its readers.
        return f'"{quote(stamp)}.{origin}"'
    return f'"{micros}.{origin}"'


def matches(header: str, tag: str) -> bool:
    """Whether an If-None-Match value names this tag (weak comparison, RFC 9110 section 13.1.2)."""
    return header.strip() == "*" or tag in (
        part.strip().removeprefix("W/") for part in header.split(",")
    )


def strongly_matches(header: str, tag: str) -> bool:
    """Whether an If-Match value names this tag (strong comparison, RFC 9110 section 13.1.1)."""
    return header.strip() == "*" or tag in (part.strip() for part in header.split(","))


def stamp_of(tag: str) -> tuple[str, str] | None:
    """The instant and the origin that `etag` made this tag of; None for a tag of another form (of a stamp that is no date)."""
    micros, _, origin = tag.strip('"').partition(".")
    if not micros.lstrip("-").isdigit():
        return None
    return (_EPOCH + int(micros) * datetime.resolution).isoformat(), origin
