"""The columns that say when and by whom a row's version was written."""

from catalog.column import Column, Type

CREATED_AT = Column(
    source="created_at", target="created_at", type=Type.TIMESTAMPTZ, filter=True, sort=True
)
UPDATED_AT = Column(
    source="updated_at", target="updated_at", type=Type.TIMESTAMPTZ, filter=True, sort=True
)
"""Also orders the versions of a row (data-rules section 2), so an apply copies it unchanged."""

BOOKKEEPING = ("row_version", "origin", "correlation_id")
"""Every row of both sides has these beside its described columns; a versioned one also SEEN_AT."""
SEEN_AT = "seen_at"
