"""`Asset`: everything that the movers, the edge and the services know about one Supabase table."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from catalog.column import CatalogError, Column, Kept, Merge, Only, Type
from catalog.service import Service


class Kind(StrEnum):
    VERSIONED = "versioned"
    """Rows change; each version carries updated_at, origin, row_version and seen_at (data-rules section 2)."""
    APPEND_ONLY = "append_only"
    """Rows are written once."""


class Wave(StrEnum):
    """The order in which entities are cut over (decisions.md 17)."""

    FIRST = "1 lab orders, compliance tasks"
    SECOND = "2 appointments"
    THIRD = "3 submissions"
    FOURTH = "4 action plans, check-ins, stock, temperatures"
    FIFTH = "5 label queue"
    SIXTH = "6 payouts"


class Move(StrEnum):
    """How the rows that are there today get across."""

    BUNDLE = "bundle"
    """Batches that also become FHIR bundles."""
    BATCH = "batch"
    """Keyset pages."""
    CSV = "csv"
    """Export to CSV and import."""
    DRAIN = "queue drain"
    """Work in flight is finished where it is, the rest moves without a pause."""
    VIEW = "view export"
    """A materialised view of what changed, exported step by step."""
    FILES = "files"
    """Rows, and the objects in storage that they name."""


class Live(StrEnum):
    """How later changes get across."""

    CDC = "cdc"
    EVENTS = "events"
    TELEMETRY = "telemetry"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One legacy table and its place in the new model. One legacy row is one target row."""

    source: str
    """Schema and table in legacy."""
    service: Service
    target: str
    """Table in the service's schema."""
    key: tuple[str, ...]
    """Target names of the primary key's columns, in the key's order."""
    columns: tuple[Column | Merge | Only, ...]
    wave: Wave
    moves: Move
    live: Live
    note: str
    """The requirements' own words on how it is moved."""
    kind: Kind = Kind.VERSIONED
    aggregate: str = ""
    """Entity whose flag decides for this one, too, so that one user never sees two sides of one thing; empty: itself."""
    partition: str = ""
    """Target column by whose values the stage may differ (decisions.md 15)."""
    subject: str = "submission_id"
    """Target column that names the submission a row belongs to, if there is one."""
    minted: tuple[str, ...] = ()
    """Target columns that legacy numbers from a sequence of its own: the other side leases blocks of it (decisions.md 27)."""
    derived: bool = False
    """Legacy's own trigger writes such rows, so a mirrored write must not let it (prepare.sql)."""
    fhir: tuple[str, ...] = ()
    """FHIR R4 resource types that a row becomes."""

    def __post_init__(self) -> None:
        targets = [column.target for column in self.kept]
        sources = [source for column in self.columns for source in column.sources]
        for names, what in ((targets, "target"), (sources, "source")):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise CatalogError(
                    f"{self.source}: {what} {', '.join(sorted(twice))} is described twice"
                )
        for name in (*self.key, self.partition):
            column = self.by_target.get(name) if name else None
            if name and (not isinstance(column, Column) or column.nullable or column.lossy):
                raise CatalogError(
                    f"{self.source}: {name} must be a Column that is neither null nor lossy"
                )
        for name in self.minted:
            column = self.by_target.get(name)
            if column is None or column.type is not Type.BIGINT:
                raise CatalogError(f"{self.source}: {name} is numbered and must be a bigint column")
        if self.subject and self.subject not in self.by_target:
            raise CatalogError(
                f'{self.source}: {self.subject} is not described; say `subject=""` if there is none'
            )
        if self.kind is Kind.VERSIONED and "updated_at" not in self.by_target:
            raise CatalogError(f"{self.source}: a versioned table describes updated_at")

    @property
    def entity(self) -> str:
        """The table's name, which is the entity's name in flags, logs and metrics."""
        return self.source.partition(".")[2]

    @property
    def flag_entity(self) -> str:
        """The entity whose flag decides."""
        return self.aggregate or self.entity

    @cached_property
    def kept(self) -> tuple[Kept, ...]:
        return tuple(column for column in self.columns if not isinstance(column, Only))

    @cached_property
    def by_target(self) -> dict[str, Kept]:
        return {column.target: column for column in self.kept}

    @cached_property
    def key_columns(self) -> tuple[Column, ...]:
        return tuple(
            column for name in self.key if isinstance(column := self.by_target[name], Column)
        )

    @cached_property
    def references(self) -> tuple[Column, ...]:
        return tuple(c for c in self.kept if isinstance(c, Column) and c.references)
