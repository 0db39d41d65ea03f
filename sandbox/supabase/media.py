"""Which of the forms that the caller accepts the answer takes. Pure.

Stand-in, not PostgREST, never for production.
"""

import re
from dataclasses import dataclass

from sandbox.supabase.errors import RestError, Unsupported
from sandbox.supabase.sql import Shape

JSON = "application/json; charset=utf-8"
_OBJECT = ("application/vnd.pgrst.object+json", "application/vnd.pgrst.object")
_ARRAY = ("application/vnd.pgrst.array+json", "application/vnd.pgrst.array")
_RAW = frozenset({"text/plain", "text/xml", "application/octet-stream"})
_QUALITY = re.compile(r"q=(\d(?:\.\d{0,3})?)")


@dataclass(frozen=True, kw_only=True)
class Media:
    """The body's shape and its Content-Type."""

    shape: Shape
    content_type: str

    @property
    def single(self) -> bool:
        """Exactly one row, or an error."""
        return self.shape in ("object", "object-stripped")


def negotiate(accept: str | None, *, of_call: bool = False) -> Media:
    """The first acceptable form, by quality, then by order. Raises PGRST107, or PGRST127 for what only calls know."""
    if not accept:
        return _MEDIA["*/*"]
    ranked = sorted(enumerate(accept.split(",")), key=lambda item: (-_quality(item[1]), item[0]))
    for _, given in ranked:
        kind, *parameters = (part.strip().lower() for part in given.split(";"))
        stripped = "nulls=stripped" in (parameter.replace(" ", "") for parameter in parameters)
        found = _MEDIA.get(f"{kind};nulls=stripped" if stripped else kind) or _MEDIA.get(kind)
        if found is not None:
            return found
        if of_call and kind in _RAW:
            raise Unsupported("raw answers of functions")
    raise RestError("PGRST107", f"None of these media types are available: {accept}")


def _quality(given: str) -> float:
    found = _QUALITY.search(given.replace(" ", ""))
    return float(found[1]) if found else 1.0


_MEDIA = {
    "*/*": Media(shape="array", content_type=JSON),
    "application/json": Media(shape="array", content_type=JSON),
    "text/csv": Media(shape="csv", content_type="text/csv; charset=utf-8"),
    **{kind: Media(shape="array", content_type=JSON) for kind in _ARRAY},
    **{
        f"{kind};nulls=stripped": Media(
            shape="array-stripped",
            content_type="application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
        )
        for kind in _ARRAY
    },
    **{
        kind: Media(shape="object", content_type="application/vnd.pgrst.object+json; charset=utf-8")
        for kind in _OBJECT
    },
    **{
        f"{kind};nulls=stripped": Media(
            shape="object-stripped",
            content_type="application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8",
        )
        for kind in _OBJECT
    },
}
