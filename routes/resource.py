"""`Resource`: one thing that /v2 exposes, as data. Both sides answer by it, so it is written once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from catalog import assets
from catalog.asset import Asset
from catalog.column import CatalogError, Column, Kept
from catalog.service import Service
from routes.lifecycle import Lifecycle
from routes.problem import FieldError
from routes.writes import Writes

PREFIX = "/v2"
LONGEST_WAIT = 25
"""Seconds for a row's next version; below what proxies let a request be silent."""
_BY_DATABASE = frozenset({"created_at", "updated_at"})


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
    writes: Writes = field(default_factory=Writes, hash=False)
    lifecycles: tuple[Lifecycle, ...] = field(default=(), hash=False)
    rules: Mapping[str, FieldError] = field(default_factory=dict, hash=False)
    """What a database's constraint by this name says about a written row, where its name alone does not (routes.constraint)."""
    home: str = ""
    """The column that names the user at whose side the row is written, if that is not the caller (decisions.md 16)."""
    waits: bool = False
    """A GET of an item may wait for its next version (`Prefer: wait=N`, decisions.md 8)."""

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
        if self.waits and self.nested:
            raise CatalogError(f"{self.path}: it has no items that one could wait for")
        self._check_writes()
        hidden = {name for name in self.asset.key if not self.asset.by_target[name].public}
        if hidden:
            raise CatalogError(f"{self.path}: the key must be public")

    def _check_writes(self) -> None:
        create = self.writes.create
        begun: set[str] = set()
        if create is not None:
            begun = {*create.named, *create.fixed, *create.fills}
            without = {
                column.target
                for column in self.asset.kept
                if not (column.nullable or column.generated or column.target in _BY_DATABASE)
            } - begun
            without -= {*self.asset.key, *self.asset.minted, self.parent_column}
            if without:
                raise CatalogError(
                    f"{self.path}: a new row has no {', '.join(sorted(without))}; say where it comes from"
                )
        states = {lifecycle.column for lifecycle in self.lifecycles}
        filled = {n for one in self.lifecycles for fill in one.fills.values() for n in fill}
        unknown = {*begun, *self.writes.change, *states, *filled} - set(self.asset.by_target)
        if unknown:
            raise CatalogError(
                f"{self.path}: {', '.join(sorted(unknown))} is no column of {self.entity}"
            )
        moved = self.writes.change & {
            *self.asset.key,
            self.asset.partition,
            self.home,
            *_BY_DATABASE,
        }
        if moved:
            raise CatalogError(f"{self.path}: {', '.join(sorted(moved))} cannot change")
        for lifecycle in self.lifecycles:
            self._check_lifecycle(lifecycle)

    def _check_lifecycle(self, lifecycle: Lifecycle) -> None:
        column = self.asset.by_target[lifecycle.column]
        states = set(column.values.values()) if isinstance(column, Column) else set()
        ends = {state for ways in lifecycle.ways.values() for state in ways}
        if (
            set(lifecycle.ways) != states
            or not {*ends, *lifecycle.start, *lifecycle.fills} <= states
        ):
            raise CatalogError(f"{self.path}: the states of {lifecycle.column} are not its values")

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
