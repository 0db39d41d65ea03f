"""What a PostgREST query string says, as values: the vocabulary between `grammar` (text) and `sql` (statements).

Stand-in, not PostgREST, never for production.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Quantifier: TypeAlias = Literal["any", "all"]
Path: TypeAlias = tuple[str, ...]
"""Names of embedded relations, outermost first; () is the table of the URL."""


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """One step into JSON: `->key`, `->>key`, `->0`."""

    key: str
    index: bool
    as_text: bool


@dataclass(frozen=True, kw_only=True)
class Field:
    """A column, perhaps with steps into it."""

    name: str
    arrows: tuple[Arrow, ...] = ()

    @property
    def label(self) -> str:
        """The key it gets in the answer: the last JSON key named, else the column's own name."""
        keys = [arrow.key for arrow in self.arrows if not arrow.index]
        return keys[-1] if keys else self.name


@dataclass(frozen=True, kw_only=True)
class Condition:
    """`field=[not.]operator[(any|all)].value`; the value of `in` is a tuple."""

    field: Field
    operator: str
    value: str | tuple[str, ...]
    negated: bool = False
    quantifier: Quantifier | None = None


@dataclass(frozen=True, kw_only=True)
class Logic:
    """`and(...)` or `or(...)`, perhaps negated."""

    connective: Literal["and", "or"]
    terms: "tuple[Filter, ...]"
    negated: bool = False


Filter: TypeAlias = Condition | Logic


@dataclass(frozen=True, kw_only=True)
class Column:
    """`alias:field::cast` in select; the field `*` means all columns."""

    field: Field
    alias: str | None = None
    cast: str | None = None

    @property
    def star(self) -> bool:
        return self.field.name == "*"


@dataclass(frozen=True, kw_only=True)
class Embed:
    """`alias:name!hint!inner(items)` or `...name(items)` in select."""

    name: str
    items: "tuple[SelectItem, ...]"
    alias: str | None = None
    hint: str | None = None
    inner: bool = False
    spread: bool = False

    @property
    def label(self) -> str:
        return self.alias or self.name


SelectItem: TypeAlias = Column | Embed


@dataclass(frozen=True, kw_only=True)
class Order:
    """`field.desc.nullslast`, or `relation(field).desc` for a column of a to-one embed."""

    field: Field
    descending: bool | None = None
    nulls: Literal["first", "last"] | None = None
    relation: str | None = None


@dataclass(frozen=True, kw_only=True)
class Window:
    """Rows `lower` to `upper`, both counted from 0 and included; `upper` None means to the end."""

    lower: int = 0
    upper: int | None = None

    @property
    def limit(self) -> int | None:
        return None if self.upper is None else self.upper - self.lower + 1

    @property
    def whole(self) -> bool:
        return self.lower == 0 and self.upper is None
