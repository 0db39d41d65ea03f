"""`Resource`: one thing that /v2 exposes, as data. Both sides answer by it, so it is written once."""

from dataclasses import dataclass, field
from functools import cached_property

from catalog import assets
from catalog.asset import Asset
from catalog.column import CatalogError, Column, Kept
from catalog.service import Service

PREFIX = "/v2"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A collection and, unless it is nested, its items. Fails when it is made, if it does not fit the catalog."""

    path: str
    """Path of the collection behind /v2; `{id}` stands for the parent's key in a nested one."""
    entity: str
    summary: str
    order: str
    """Default order, in the query's own words; the key is appended by the parser."""
    staff_only: frozenset[str] = field(default_factory=frozenset)
    """Columns that only staff see and filter by, whatever row security shows (decisions.md 10)."""
    parent_column: str = ""
    """In a nested collection: the column that holds the parent's key."""
    home: str = ""
    """The column that names the user at whose side the row is written, if that is not the caller (decisions.md 16)."""

    def __post_init__(self) -> None:
        named = {*self.staff_only, *filter(None, (self.parent_column, self.home))}
        unknown = named - set(self.asset.by_target)
        if unknown:
            raise CatalogError(
                f"{self.path}: {', '.join(sorted(unknown))} is no column of {self.entity}"
            )
        if self.nested and not isinstance(self.asset.by_target[self.parent_column], Column):
            raise CatalogError(f"{self.path}: {self.parent_column} is merged and holds no key")
        if ("{id}" in self.path) != self.nested:
            raise CatalogError(f"{self.path}: {{id}} and `parent_column` go together")
        hidden = {name for name in self.asset.key if not self.asset.by_target[name].public}
        if hidden:
            raise CatalogError(f"{self.path}: the key must be public")

    @property
    def asset(self) -> Asset:
        return assets()[self.entity]

    @property
    def service(self) -> Service:
        return self.asset.service

    @property
    def nested(self) -> bool:
        return bool(self.parent_column)

    @cached_property
    def collection_path(self) -> str:
        return PREFIX + self.path

    def columns(self, *, staff: bool) -> tuple[Kept, ...]:
        """What an answer shows, in order."""
        return self._staff_columns if staff else self._public_columns

    @cached_property
    def _staff_columns(self) -> tuple[Kept, ...]:
        return tuple(column for column in self.asset.kept if column.public)

    @cached_property
    def _public_columns(self) -> tuple[Kept, ...]:
        return tuple(c for c in self._staff_columns if c.target not in self.staff_only)

    def column(self, name: str, *, staff: bool) -> Column | None:
        """A column that this viewer may filter or sort by, if it is declared for either."""
        column = self.asset.by_target.get(name)
        if not isinstance(column, Column) or not column.public:
            return None
        return None if name in self.staff_only and not staff else column
