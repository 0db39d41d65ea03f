"""What `banyan shadow inspect` shows of an `Inspection`: the one output that holds patients' values. On standard output alone."""

from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from catalog.stage import Side
from cli.outcome import out
from cli.shadow_inspect import Cell, Inspection, Shown
from cli.shadow_report import example_document, example_line
from migration.store import Held
from migration.version import Version
from routes.json_body import write_json
from routes.key import write_key

_STAMPS = ("updated_at", "origin", "row_version", "seen_at", "correlation_id")


def tell_rows(found: Inspection) -> None:
    table = Table(box=None)
    for name in ("correlation id", "when (UTC)", "asked", "kind", "path", "primary", "asked one", "tags", ""):  # fmt: skip
        table.add_column(name, overflow="fold")
    for example in found.examples:
        table.add_row(*map(Text, example_line(example)))
    out.print(table)
    for row in found.rows:
        _tell_row(row)
    if not found.rows:
        typer.echo("Nothing of it is about a row, so there is nothing to look at.")


def rows_document(found: Inspection) -> str:
    """JSON text with every digit of every number."""
    return _printable(
        write_json(
            {
                "correlation_id": found.correlation_id,
                "differences": [example_document(one) for one in found.examples],
                "rows": [_row_document(one) for one in found.rows],
                "troubles": found.troubles,
            }
        )
    )


def _tell_row(row: Shown) -> None:
    out.print(Text(f"\n{row.entity} {write_key(row.key)}, as it is now"))
    table = Table(box=None)
    for name in ("", "", *Side):
        table.add_column(name, overflow="fold")
    for name in _STAMPS:
        sides = (Text(_printable(_stamp(row.held[side], name))) for side in Side)
        table.add_row(Text(name, style="dim"), "", *sides)
    for cell in row.cells:
        table.add_row(Text(cell.name), _mark(cell), *(Text(_value(cell, side)) for side in Side))
    out.print(table)


def _mark(cell: Cell) -> str:
    return "" if not cell.differs else "differs" if cell.decides else "(differs)"


def _value(cell: Cell, side: Side) -> str:
    return _printable(write_json(cell.values[side])) if side in cell.values else ""


def _stamp(held: Held, name: str) -> str:
    if held.refusal:
        return "cannot be read" if name == _STAMPS[0] else ""
    versions = [(word, one) for word, one in (("", held.row), ("deleted ", held.tombstone)) if one]
    if not versions:
        return "no row" if name == _STAMPS[0] else ""
    return ", ".join(f"{word}{getattr(one, name) or ''}" for word, one in versions)


def _row_document(row: Shown) -> dict[str, Any]:
    return {
        "entity": row.entity,
        "key": list(row.key),
        "versions": {side: _held_document(held) for side, held in row.held.items()},
        "columns": {
            cell.name: {
                **{side.value: value for side, value in cell.values.items()},
                "differs": cell.differs,
                "decides": cell.decides,
            }
            for cell in row.cells
        },
    }


def _held_document(held: Held) -> dict[str, Any]:
    return {
        "row": _version_document(held.row),
        "tombstone": _version_document(held.tombstone),
        "refusal": held.refusal,
    }


def _version_document(version: Version | None) -> dict[str, Any] | None:
    return None if version is None else {name: getattr(version, name) for name in _STAMPS}


def _printable(text: str) -> str:
    """No character that a terminal obeys, or that hides another: a value may hold any."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    pairs = character.encode("utf-16-be")
    return "".join(f"\\u{pairs[n : n + 2].hex()}" for n in range(0, len(pairs), 2))
