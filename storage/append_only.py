"""History is added, never edited: the columns and triggers of append-only tables, and the list of the exceptions.

A table declares itself with ``info=APPEND_ONLY`` and ``*evidence_columns()``; its migration runs ``append_only_ddl``.
A table that may change says why with ``info=projection("...")``: it must be derivable from append-only rows, or be
plain configuration or work state. A test walks ``metadata`` and attacks every table accordingly.

The SQL functions the triggers call are created by migration 0001_foundation.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, DateTime, LargeBinary, MetaData, Table, func

#: ``Table(..., info=APPEND_ONLY)``: rows are evidence; UPDATE, DELETE and TRUNCATE are refused to every role.
APPEND_ONLY: dict[str, Any] = {"append_only": True}


def projection(why: str) -> dict[str, Any]:
    """``Table(..., info=projection("why"))``: rows may change, and this sentence says why that loses no evidence."""
    if not why.strip():
        raise ValueError("a table that may change must say why")
    return {"projection": why}


def evidence_columns() -> tuple[Column[Any], Column[Any]]:
    """The two columns every append-only table carries; the database fills both.

    ``recorded_at``: when the row was written (UTC instant of the statement, not of the event it tells about).
    ``row_digest``: SHA-256 of all other columns, stamped by trigger whatever the writer gave, so leave it out of INSERT.
    """
    return (
        Column(
            "recorded_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=func.clock_timestamp(),
            comment="when this row was written",
        ),
        Column(
            "row_digest",
            LargeBinary,
            nullable=False,
            server_default="",
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
    )


def append_only_tables(metadata: MetaData) -> list[Table]:
    """The append-only tables, in an order in which referenced tables come first."""
    return [table for table in metadata.sorted_tables if table.info.get("append_only")]


def append_only_ddl(table_name: str) -> list[str]:
    """The statements that make a table append-only and stamp its digests, for ``op.execute`` after CREATE TABLE.

    A partition needs its own refusal of TRUNCATE (the parent's statement trigger does not fire for it): call
    ``partition_ddl`` for each.
    """
    return [
        f"""CREATE TRIGGER {table_name}_stamp_digest BEFORE INSERT ON {table_name}
            FOR EACH ROW EXECUTE FUNCTION stamp_digest()""",
        f"""CREATE TRIGGER {table_name}_refuse_change BEFORE UPDATE OR DELETE ON {table_name}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        *partition_ddl(table_name),
    ]


def partition_ddl(table_name: str) -> list[str]:
    """The statement that refuses TRUNCATE of one table or one partition."""
    return [
        f"""CREATE TRIGGER {table_name}_refuse_truncate BEFORE TRUNCATE ON {table_name}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"""
    ]


def drop_append_only_ddl(table_name: str) -> list[str]:
    """Undo ``append_only_ddl``; only a downgrade of an empty development database has a use for it."""
    return [
        f"DROP TRIGGER IF EXISTS {table_name}_{trigger} ON {table_name}"
        for trigger in ("stamp_digest", "refuse_change", "refuse_truncate")
    ]
