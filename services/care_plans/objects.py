"""What a plan's file is called: in its row, in the store, and on the disk of whoever downloads it. Pure."""

import mimetypes
import re
from urllib.parse import quote

from runtime.correlation import uuid7

BUCKET = "action-plans"
DEFAULT_TYPE = "application/octet-stream"
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")


def new_key(plan: str, revision: int) -> str:
    """A name that no object has had: a row names it only when the object is whole."""
    return f"{plan}/{revision}/{uuid7()}"


def stored_name(bucket: str, key: str) -> str:
    """Of a row's object in the store. Legacy's names hold what they like; each part becomes one that a path may have.

    In a folder one name cannot be the beginning of another (`a` and `a/b`), as everywhere in folders.
    """
    return "/".join(_part(part) for part in (bucket, *key.split("/")))


def _part(part: str) -> str:
    """`=` instead of `%`, which some stores read as an escape of their own; `quote` leaves no other `=` in."""
    dots = part.strip(".") == ""
    found = part.replace(".", "=2E") if dots else quote(part, safe="").replace("%", "=")
    return found or "="


def media_type(header: str) -> str | None:
    """The type of a Content-Type value, without its parameters; None for what is none."""
    found = header.partition(";")[0].strip().lower()
    return found if _TYPE.fullmatch(found) else None


def disposition(plan: str, revision: int, content_type: str) -> str:
    """Saved, never shown, and under a name that says nothing of the patient: titles do."""
    suffix = mimetypes.guess_extension(content_type) or ".bin"
    return f'attachment; filename="action-plan-{plan[:8]}-{revision}{suffix}"'
