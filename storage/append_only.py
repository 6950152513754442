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
#:
#: A table that keeps a digest of its own in another column, covered by a root in a table that is sealed, says so instead
#: of carrying ``evidence_columns``: ``info={**APPEND_ONLY, "row_digest": "leaf"}``. Its package verifies it.
APPEND_ONLY: dict[str, Any] = {"append_only": True}


def projection(why: str) -> dict[str, Any]:
    """``Table(..., info=projection("why"))``: rows may change, and this sentence says why that loses no evidence."""
    if not why.strip():
        raise ValueError("a table that may change must say why")
    return {"projection": why}


def evidence_columns() -> tuple[Column[Any], Column[Any]]:
    """The two columns every append-only table carries; the database fills both.

    ``recorded_at``: when the row was written (not when the thing it tells about happened: that is the table's own column).
    ``row_digest``: SHA-256 of all other columns.
    Both are stamped by trigger whatever the writer gave, so leave them out of INSERT and COPY: a writer who could choose
    ``recorded_at`` could slip rows below an earlier seal.
    """
    return (
        Column(
            "recorded_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=func.clock_timestamp(),
            comment="when this row was written, stamped by trigger",
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
        # ALWAYS: a superuser who sets session_replication_role = replica is refused as well.
        f"ALTER TABLE {table_name} ENABLE ALWAYS TRIGGER {table_name}_refuse_change",
        *partition_ddl(table_name),
    ]


def partition_ddl(table_name: str) -> list[str]:
    """The statements that refuse TRUNCATE of one table or one partition."""
    return [
        f"""CREATE TRIGGER {table_name}_refuse_truncate BEFORE TRUNCATE ON {table_name}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
        f"ALTER TABLE {table_name} ENABLE ALWAYS TRIGGER {table_name}_refuse_truncate",
    ]


def drop_append_only_ddl(table_name: str) -> list[str]:
    """Undo ``append_only_ddl``; only the downgrade of an empty development database has a use for it."""
    return [
        f"DROP TRIGGER IF EXISTS {table_name}_{trigger} ON {table_name}"
        for trigger in ("stamp_digest", "refuse_change", "refuse_truncate")
    ]


#: Sessions differ in how they render time and bytes; a digest must not.
_CANONICAL_RENDERING = """
    SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET bytea_output = 'hex'
"""

#: The SQL functions of migration 0001_foundation.
#:
#: The canonical text of a row is PostgreSQL's own text form of the whole row with ``row_digest`` null, without the
#: closing commas and bracket: columns added to a table later are null in old rows and leave their digests as they were.
#: (A value that itself ends in a comma or bracket is quoted in that form, so nothing else is cut off.)
FUNCTIONS_DDL = [
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% of % refused: its rows are evidence and are never changed or removed',
            TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME,
                  HINT = 'Correct a mistake by adding a reversal or a newer row.';
    END
    $$
    """,
    f"""
    CREATE FUNCTION stamp_digest() RETURNS trigger LANGUAGE plpgsql {_CANONICAL_RENDERING} AS $$
    BEGIN
        NEW.recorded_at := clock_timestamp();
        NEW.row_digest := NULL;
        NEW.row_digest := sha256(convert_to('v1' || rtrim(NEW::text, ',)'), 'UTF8'));
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE FUNCTION link_audit_event() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        before record;
    BEGIN
        -- Two events may not both follow the same one; the lock ends with the transaction.
        PERFORM pg_advisory_xact_lock(hashtextextended('audit_event', 0));
        SELECT seq, row_digest INTO before FROM audit_event ORDER BY seq DESC LIMIT 1;
        NEW.seq := coalesce(before.seq, 0) + 1;
        NEW.previous_digest := coalesce(before.row_digest, decode(repeat('00', 32), 'hex'));
        RETURN NEW;
    END
    $$
    """,
]


#: The SQL function of migration 0009_roles by which a seal keeps writers out: locking a table against them takes a right to
#: change it, which nobody who seals has. All tables or none, at once or not at all (error 55P03).
LOCK_EVIDENCE_DDL = """
CREATE FUNCTION lock_evidence(tables text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    EXECUTE (SELECT 'LOCK TABLE ' || string_agg(format('public.%I', name), ', ' ORDER BY name)
        || ' IN SHARE ROW EXCLUSIVE MODE NOWAIT' FROM unnest(tables) AS name);
END $$
"""


def row_digest_sql(columns: list[str]) -> str:
    """SQL that recomputes ``row_digest`` from all columns of a table, given in their order in the table.

    Run it after ``canonical_session_sql``.
    """
    fields = ", ".join("NULL" if name == "row_digest" else f'"{name}"' for name in columns)
    return f"sha256(convert_to('v1' || rtrim(ROW({fields})::text, ',)'), 'UTF8'))"


def canonical_session_sql() -> list[str]:
    """Statements that make this transaction render rows as ``stamp_digest`` does."""
    return [
        "SET LOCAL timezone = 'UTC'",
        "SET LOCAL datestyle = 'ISO, YMD'",
        "SET LOCAL intervalstyle = 'postgres'",
        "SET LOCAL bytea_output = 'hex'",
    ]
