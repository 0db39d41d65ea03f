"""The words in which a table's columns are described, and what each of them promises.

A description that would lose data silently is refused when it is imported, with the cure in the message.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from catalog.conversion import Conversion


class CatalogError(Exception):
    """A description contradicts itself. The message names the column and the cure."""


class Type(StrEnum):
    """Types of the new model, by their PostgreSQL names; ENUM is text with a closed vocabulary."""

    UUID = "uuid"
    TEXT = "text"
    ENUM = "enum"
    BOOLEAN = "boolean"
    SMALLINT = "smallint"
    INTEGER = "integer"
    BIGINT = "bigint"
    NUMERIC = "numeric"
    REAL = "real"
    DATE = "date"
    TIMESTAMPTZ = "timestamptz"
    JSONB = "jsonb"
    TEXT_ARRAY = "text[]"


ORDERED = frozenset(
    {Type.SMALLINT, Type.INTEGER, Type.BIGINT, Type.NUMERIC, Type.DATE, Type.TIMESTAMPTZ}
)
"""Types on which `<` means the same in every database. Text is not among them: collations differ."""


UNFILTERED = frozenset({Type.REAL, Type.JSONB, Type.TEXT_ARRAY})
"""Types whose equality with a caller's text says little or differs between clients."""


class Compare(StrEnum):
    """How two answers' values of a column are held against each other."""

    VALUE = "value"
    """By the declared type: instants in microseconds, numbers as Decimal, JSON by structure, text exactly."""
    UNORDERED = "unordered"
    """An array whose order means nothing."""
    IGNORED = "ignored"
    """Not compared, but counted apart and shown."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One legacy column that is one column of the new model."""

    source: str
    target: str
    type: Type
    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Closed vocabulary: legacy's word -> the new model's word. Required for ENUM."""
    convert: Conversion | None = None
    lossy: str = ""
    """Why the way back does not restore the value; empty: it does."""
    compare: Compare = Compare.VALUE
    nullable: bool = False
    filter: bool = False
    sort: bool = False
    public: bool = True
    """Part of a /v2 answer (a route may still keep it to staff)."""
    generated: bool = False
    """Computed by both databases; read, never written."""
    absent_is_null: bool = False
    """An answer that leaves the member out says the same as one that has it as null."""
    padded: bool = False
    """Legacy has char(n). Its cast to text drops the blanks at the end, which drivers and PostgREST show: they are kept."""
    low_entropy: bool = False
    """So few possible values that not even a keyed hash of it may be kept as evidence (decisions.md 35)."""
    references: str = ""
    """Entity whose key this column holds, in the same service or another."""
    least: Decimal | int | None = None
    most: Decimal | int | None = None
    """What both sides can hold, in the new model's terms; a value outside would be refused, or rounded, by one of them."""
    places: int | None = None
    """Decimal places that both sides keep."""
    length: int | None = None
    """Exact number of characters of a text."""

    def __post_init__(self) -> None:
        if (self.type is Type.ENUM) != bool(self.values):
            raise CatalogError(f"{self.source}: `values` and the type ENUM go together")
        if len(set(self.values.values())) != len(self.values) and not self.lossy:
            raise CatalogError(f"{self.source}: two values become one; say why in `lossy`")
        if self.sort and (self.values or self.convert):
            raise CatalogError(
                f"{self.source}: `sort` would differ from the other side's order; drop it or the conversion"
            )
        if self.sort and self.type not in ORDERED | {Type.UUID}:
            raise CatalogError(
                f"{self.source}: {self.type} has no order that all databases share; drop `sort`"
            )
        if self.filter and self.type in UNFILTERED:
            raise CatalogError(f"{self.source}: {self.type} cannot be filtered by; drop `filter`")
        if bool(self.values) + bool(self.convert) + self.padded > 1:
            raise CatalogError(f"{self.source}: one of `values`, `convert` and `padded`")

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Several legacy text columns that become one JSON object; all null is null. Nothing is lost: a null part stays null."""

    sources: tuple[str, ...]
    parts: tuple[str, ...]
    """Names inside the object, one per source."""
    target: str
    compare: Compare = Compare.VALUE
    public: bool = True

    type = Type.JSONB
    nullable = True
    filter = False
    sort = False
    lossy = ""
    generated = False
    absent_is_null = False
    low_entropy = False
    references = ""

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.parts) or len(set(self.parts)) != len(self.parts):
            raise CatalogError(f"{self.target}: one distinct part per source")


@dataclass(frozen=True, kw_only=True)
class Only:
    """A legacy column that has no place in the new model, with the reason."""

    source: str
    lossy: str
    nullable: bool = True

    def __post_init__(self) -> None:
        if not self.lossy:
            raise CatalogError(f"{self.source}: say why it is left behind")

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)


Kept = Column | Merge
"""What has a place in the new model."""
