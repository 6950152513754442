"""What was recorded about each institution between two cuts: the part of a checkpoint that is not the journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, text

from ledger.checkpoint import TableRows
from storage.verification import evidence_tables


def rows_recorded(conn: Connection, cuts: list[datetime]) -> dict[tuple[int, int], dict[str, TableRows]]:
    """Evidence about each institution by window: (number of the window, institution) -> table -> its rows.

    Window 0 is everything before ``cuts[0]``, window n what was recorded from ``cuts[n-1]`` to before ``cuts[n]``; what
    is newer than the last cut is left out. A table shared by institutions (a bank's file, say) counts for an institution
    with the rows that refer to it.
    """
    found: dict[tuple[int, int], dict[str, TableRows]] = defaultdict(dict)
    for name, rows in _institution_rows(conn).items():
        counted = conn.execute(
            text(f"""
                SELECT bucket, institution_id, count(*), sha256(string_agg(row_digest, ''::bytea ORDER BY row_digest))
                FROM (
                    SELECT DISTINCT width_bucket(recorded_at, CAST(:cuts AS timestamptz[])) AS bucket, institution_id, row_digest
                    FROM ({rows}) AS found WHERE recorded_at < :last AND recorded_at >= :first
                ) AS windows GROUP BY 1, 2
            """),
            {"cuts": cuts, "last": cuts[-1], "first": "-infinity"},
        )
        for bucket, institution_id, count, root in counted:
            found[bucket, institution_id][name] = TableRows(count, bytes(root))
    return found


def rows_recorded_between(conn: Connection, previous_cut: datetime | None, cut: datetime) -> dict[int, dict[str, TableRows]]:
    """Evidence about each institution recorded from one cut to before another: institution -> table -> its rows."""
    found: dict[int, dict[str, TableRows]] = defaultdict(dict)
    for name, rows in _institution_rows(conn).items():
        counted = conn.execute(
            text(f"""
                SELECT institution_id, count(*), sha256(string_agg(row_digest, ''::bytea ORDER BY row_digest))
                FROM (
                    SELECT DISTINCT institution_id, row_digest FROM ({rows}) AS found
                    WHERE recorded_at < :cut AND recorded_at >= coalesce(CAST(:previous AS timestamptz), '-infinity')
                ) AS windowed GROUP BY 1
            """),
            {"cut": cut, "previous": previous_cut},
        )
        for institution_id, count, root in counted:
            found[institution_id][name] = TableRows(count, bytes(root))
    return found


def links_to_shared_tables(conn: Connection) -> list[tuple[str, str, str, str]]:
    """Foreign keys from institutions' evidence to evidence shared by them: (table, column, shared table, its column)."""
    tables = {table.name: table for table in evidence_tables(conn)}
    owned = [name for name, table in tables.items() if "institution_id" in table.columns and name != "checkpoint_entry"]
    shared = [name for name, table in tables.items() if "institution_id" not in table.columns]
    rows = conn.execute(
        text("""
            SELECT c.conrelid::regclass::text, f.attname, c.confrelid::regclass::text, t.attname
            FROM pg_constraint c
            JOIN pg_attribute f ON f.attrelid = c.conrelid AND f.attnum = c.conkey[1]
            JOIN pg_attribute t ON t.attrelid = c.confrelid AND t.attnum = c.confkey[1]
            WHERE c.contype = 'f' AND cardinality(c.conkey) = 1
                AND c.conrelid::regclass::text = ANY(:owned) AND c.confrelid::regclass::text = ANY(:shared)
            ORDER BY 1, 2
        """),
        {"owned": owned, "shared": shared},
    )
    return [(table, column, other, key) for table, column, other, key in rows]


def _institution_rows(conn: Connection) -> Mapping[str, str]:
    """SQL that gives (institution_id, recorded_at, row_digest) of each table with evidence about institutions, by table."""
    rows = {
        table.name: f'SELECT institution_id, recorded_at, row_digest FROM "{table.name}"'
        for table in evidence_tables(conn)
        if "institution_id" in table.columns and table.name != "checkpoint_entry"
    }
    shared: dict[str, list[str]] = defaultdict(list)
    for table, column, other, key in links_to_shared_tables(conn):
        shared[other].append(
            f'SELECT o.institution_id, o.recorded_at, s.row_digest FROM "{table}" o JOIN "{other}" s ON s."{key}" = o."{column}"'
        )
    return {**rows, **{name: " UNION ALL ".join(parts) for name, parts in shared.items()}}
