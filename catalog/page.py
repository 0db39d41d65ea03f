"""docs/mapping.md: what every legacy table becomes, from the catalog alone. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from catalog.asset import Asset, Kind, Wave
from catalog.column import Column, Compare, Kept, Merge, Only
from catalog.stamps import BOOKKEEPING, SEEN_AT


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """Where /v2 shows an entity, which the catalog does not know."""

    path: str
    staff_only: frozenset[str] = field(default_factory=frozenset)


def mapping_page(
    assets: Iterable[Asset], exposures: Mapping[str, Exposure], *, renewed_by: str
) -> str:
    """The whole page, in the order of the cutover. An entity without an exposure is said to have none."""
    ordered = sorted(assets, key=lambda asset: list(Wave).index(asset.wave))
    head = _INTRODUCTION.format(renewed_by=renewed_by)
    overview = _table(_OVERVIEW, [_overview_row(a, exposures.get(a.entity)) for a in ordered])
    sections = [_section(asset, exposures.get(asset.entity)) for asset in ordered]
    return "\n".join([head, overview, *sections])


_BOOKKEEPING = ", ".join(f"`{name}`" for name in BOOKKEEPING)
_INTRODUCTION = f"""\
# Mapping

What every Supabase table becomes, written from `catalog/` by `{{renewed_by}}`; a test holds the two together.
One legacy row is one target row. Beside the columns below, every row of both sides carries {_BOOKKEEPING}
and, where rows change, `{SEEN_AT}`.

How to read the column tables:

- *Value*: empty means that the value is the same on both sides. `a → b`: a word that changes, with the others listed
  as they are; a word outside the list is refused and the row reported, never given a default. A named conversion has
  a Python and an SQL form, which a test holds equal.
- *Marks*: **key**; **null**: may be null; **filter**, **sort**: what `/v2` offers; **internal**: never in a `/v2` answer;
  **staff**: shown to staff only; **computed**: by both databases, never written; **padded**: legacy has `char(n)`, and
  the blanks at the end are kept; **any order**: compared as a set; **not compared**; **verdict only**: so few possible
  values that a mismatch leaves no hash as evidence; **→ entity**: holds that entity's key.
- *Way back*: empty means that legacy's value is restored exactly; otherwise the reason why it is not.
"""
_OVERVIEW = (
    *("Wave", "Legacy table", "Service", "Target table", "Moves by", "Stays live by"),
    *("FHIR R4", "/v2"),
)
_COLUMNS = ("Legacy column", "New column", "Type", "Value", "Marks", "Way back")


def _overview_row(asset: Asset, exposure: Exposure | None) -> tuple[str, ...]:
    return (
        asset.wave,
        f"[`{asset.source}`](#{asset.source.replace('.', '')})",
        asset.service.label,
        f"`{asset.service}.{asset.target}`",
        asset.moves,
        asset.live,
        ", ".join(asset.fhir),
        _path(exposure),
    )


def _section(asset: Asset, exposure: Exposure | None) -> str:
    staff_only = exposure.staff_only if exposure else frozenset()
    facts = [
        f"Service: {asset.service.label}, table `{asset.service}.{asset.target}`",
        f"Wave: {asset.wave}; flag: `{asset.flag_entity}.stage`{_partition(asset)}",
        f"Moves by {asset.moves}, stays live by {asset.live}; {_kind(asset)}",
        f"Key: {', '.join(f'`{name}`' for name in asset.key)}",
        f"FHIR R4: {', '.join(asset.fhir) or 'none'}",
        f"/v2: {_path(exposure) or 'not exposed'}",
    ]
    rows = [_column_row(asset, column, staff_only) for column in asset.columns]
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"## {asset.source}\n\n> {asset.note}\n\n{listed}\n\n{_table(_COLUMNS, rows)}"


def _partition(asset: Asset) -> str:
    return f", which may differ by `{asset.partition}`" if asset.partition else ""


def _kind(asset: Asset) -> str:
    if asset.kind is Kind.VERSIONED:
        return "rows change"
    return "rows are written once" + (", by a trigger of legacy's own" if asset.derived else "")


def _path(exposure: Exposure | None) -> str:
    return f"`{exposure.path}`" if exposure else ""


def _column_row(
    asset: Asset, column: Column | Merge | Only, staff_only: frozenset[str]
) -> tuple[str, ...]:
    sources = ", ".join(f"`{source}`" for source in column.sources)
    if isinstance(column, Only):
        return sources, "", "", "left behind", "null" if column.nullable else "", column.lossy
    marks = ", ".join(_marks(asset, column, staff_only))
    return sources, f"`{column.target}`", f"`{column.type}`", _value(column), marks, column.lossy


def _value(column: Kept) -> str:
    if isinstance(column, Merge):
        return f"one object of {', '.join(f'`{part}`' for part in column.parts)}; null if all are"
    if column.convert:
        return column.convert.name
    return ", ".join(
        f"`{old}`" if old == new else f"`{old}` → `{new}`" for old, new in column.values.items()
    )


def _marks(asset: Asset, column: Kept, staff_only: frozenset[str]) -> list[str]:
    marks = {
        "key": column.target in asset.key,
        "null": column.nullable,
        "filter": column.filter,
        "sort": column.sort,
        "internal": not column.public,
        "staff": column.target in staff_only,
        "computed": column.generated,
        "padded": isinstance(column, Column) and column.padded,
        "any order": column.compare is Compare.UNORDERED,
        "not compared": column.compare is Compare.IGNORED,
        "verdict only": column.low_entropy,
        f"→ {column.references}": bool(column.references),
    }
    return [mark for mark, holds in marks.items() if holds]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
