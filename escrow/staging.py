"""Many rows at once: COPY into tables and into temporary ones that decisions join with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import sql
from sqlalchemy import Connection, text


def take_turn(conn: Connection) -> None:
    """Wait until no other transaction is deciding about promises, and keep the others waiting until this one ends.

    What may be released, refunded or imported depends on everything recorded so far; decided side by side, a dispute
    and the release of its class-hour could both succeed.
    """
    conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('escrow', 0))"))


def copy_rows(conn: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Append rows to a table by COPY; values in the order of ``columns``."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)))
    driver: Any = conn.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def stage(conn: Connection, table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> None:
    """Fill a temporary table (SQL type by column) that lasts until the transaction ends; an earlier one of that name goes."""
    declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    conn.execute(text(f"DROP TABLE IF EXISTS pg_temp.{table}"))
    conn.execute(text(f"CREATE TEMPORARY TABLE {table} ({declared}) ON COMMIT DROP"))
    copy_rows(conn, table, tuple(columns), rows)
    conn.execute(text(f"ANALYZE {table}"))
