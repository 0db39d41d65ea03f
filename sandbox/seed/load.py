"""Writes a data set into the legacy database with COPY, as the role that owns the tables."""

import asyncpg

from runtime.postgres import quote_identifier
from sandbox.seed.dataset import Dataset

# Each identity column, and where its sequence goes on. The order number written by hand (see diagnostics.py)
# is left out of account, as the real sequence would leave it.
_SEQUENCES = (
    ("public.lab_orders", "order_number", 2**53),
    ("public.lab_order_events", "id", 2**63 - 1),
    ("public.partner_label_queue", "id", 2**63 - 1),
    ("public.partner_temperature_logs", "id", 2**63 - 1),
)


async def load(dsn: str, dataset: Dataset) -> None:
    """Fill the empty tables in one transaction. The owner's triggers are off meanwhile: the data set decides every row."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            for table, rows in dataset.tables.items():
                await _copy(connection, table, rows)
            for table, column, below in _SEQUENCES:
                await connection.execute(
                    f"select setval(pg_get_serial_sequence('{table}', '{column}'), max({column}))"  # noqa: S608 - constants
                    f" from {table} where {column} < {below}"
                )
        await connection.execute("analyze")
    finally:
        await connection.close()


async def _copy(connection: asyncpg.Connection, table: str, rows: list[dict[str, object]]) -> None:
    schema, _, name = table.partition(".")
    if not rows:
        return
    columns = tuple(rows[0])
    qualified = f"{quote_identifier(schema)}.{quote_identifier(name)}"
    await connection.execute(f"alter table {qualified} disable trigger user")
    await connection.copy_records_to_table(
        name,
        schema_name=schema,
        columns=columns,
        records=(tuple(row[column] for column in columns) for row in rows),
    )
    await connection.execute(f"alter table {qualified} enable trigger user")
