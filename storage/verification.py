"""Is the evidence as it was written? Set-based checks over every append-only table, naming the rows that are not."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from storage.append_only import canonical_session_sql, row_digest_sql

#: Wrong rows named for each table; a table with more is named with their number.
ROWS_NAMED = 100


@dataclass(frozen=True, slots=True)
class WrongRow:
    """One row (or one table) whose content is not what was recorded. ``key`` is its primary key in words."""

    table: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.table} ({self.key}): {self.what}"


@dataclass(frozen=True, slots=True)
class EvidenceTable:
    """A table with row digests as the database itself describes it: columns in order, primary key columns."""

    name: str
    columns: list[str]
    key: list[str]


def evidence_tables(connection: Connection) -> list[EvidenceTable]:
    """Every table that carries ``row_digest``, by name; partitions count with their parent."""
    rows = connection.execute(
        text(
            """
            SELECT c.relname,
                   array_agg(a.attname::text ORDER BY a.attnum),
                   coalesce((SELECT array_agg(k.attname::text ORDER BY array_position(i.indkey::smallint[], k.attnum))
                             FROM pg_index i JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = ANY (i.indkey::smallint[])
                             WHERE i.indrelid = c.oid AND i.indisprimary), '{}')
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            GROUP BY c.oid, c.relname
            HAVING bool_or(a.attname = 'row_digest')
            ORDER BY c.relname
            """
        )
    )
    return [EvidenceTable(name, list(columns), list(key)) for name, columns, key in rows]


def rows_with_wrong_digest(connection: Connection) -> list[WrongRow]:
    """Every row of every append-only table whose digest does not follow from its content.

    One pass over each table inside the server. Leaves the session's settings as they were at the end of the
    surrounding transaction.
    """
    for statement in canonical_session_sql():
        connection.execute(text(statement))
    found: list[WrongRow] = []
    for table in evidence_tables(connection):
        parts = ", ".join(f"'{name}=' || coalesce(\"{name}\"::text, '')" for name in table.key) or "'ctid=' || ctid::text"
        wrong = connection.execute(
            text(
                f"""
                SELECT concat_ws(', ', {parts}), count(*) OVER ()
                FROM "{table.name}" WHERE row_digest IS DISTINCT FROM {row_digest_sql(table.columns)}
                ORDER BY 1 LIMIT {ROWS_NAMED}
                """
            )
        ).all()
        found += [WrongRow(table.name, key, "its content is not what was recorded") for key, _ in wrong]
        if wrong and wrong[0][1] > len(wrong):
            found.append(WrongRow(table.name, f"{wrong[0][1] - len(wrong)} more rows", "their content is not what was recorded"))
    return found


def rows_without_parents(connection: Connection) -> list[WrongRow]:
    """Every row that refers to a row that is not there: that one was removed with the foreign key asleep. Both are named."""
    found: list[WrongRow] = []
    for child, parent, columns, referred, key in connection.execute(text(_REFERENCES)).all():
        pairs = list(zip(columns, referred, strict=True))
        joined = " AND ".join(f'p."{there}" = c."{here}"' for here, there in pairs)
        given = " AND ".join(f'c."{here}" IS NOT NULL' for here in columns)
        row = ", ".join(f"'{name}=' || c.\"{name}\"::text" for name in key)
        missing = ", ".join(f"'{there}=' || c.\"{here}\"::text" for here, there in pairs)
        rows = connection.execute(
            text(
                f"""
                SELECT concat_ws(', ', {missing}), min(concat_ws(', ', {row})), count(*) FROM {child} c
                LEFT JOIN {parent} p ON {joined}
                WHERE p."{referred[0]}" IS NULL AND {given} GROUP BY 1 ORDER BY 1 LIMIT {ROWS_NAMED}
                """
            )
        )
        found += [
            WrongRow(parent, gone, f"it is gone; {child} ({first}){f' and {count - 1} more' if count > 1 else ''} refers to it")
            for gone, first, count in rows
        ]
    return found


#: (table, table referred to, columns, columns referred to, the table's primary key) of every foreign key of schema public.
_REFERENCES = """
    SELECT k.conrelid::regclass::text, k.confrelid::regclass::text,
        ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (n, place)
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.place),
        ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (n, place)
            JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.place),
        ARRAY(SELECT a.attname::text FROM pg_index i CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS u (n, place)
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n
            WHERE i.indrelid = k.conrelid AND i.indisprimary ORDER BY u.place)
    FROM pg_constraint k
    WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace AND k.conparentid = 0
    ORDER BY 2, 1, k.conname
"""


def unprotected_tables(connection: Connection, names: list[str] | None = None) -> list[str]:
    """Every append-only table (or partition) whose triggers are missing or switched off, one sentence each.

    ``names``: the tables that must be protected; by default those that carry ``row_digest``.
    """
    wanted = names if names is not None else [table.name for table in evidence_tables(connection)]
    rows = connection.execute(
        text(
            """
            WITH RECURSIVE members AS (
                SELECT c.oid, c.relname::text AS table_name, c.relname::text AS root
                FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relname::text = ANY (:wanted)
                UNION ALL
                SELECT i.inhrelid, i.inhrelid::regclass::text, m.root FROM members m JOIN pg_inherits i ON i.inhparent = m.oid
            )
            SELECT m.table_name, need.what
            FROM members m CROSS JOIN (VALUES
                -- tgtype bits: 1 row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate
                ('stamp_digest', 7, 'OA', 'does not stamp digests'),
                ('refuse_change', 27, 'A', 'does not refuse UPDATE and DELETE'),
                ('refuse_change', 34, 'A', 'does not refuse TRUNCATE')
            ) AS need (function, kind, enabled, what)
            WHERE NOT EXISTS (
                SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
                WHERE t.tgrelid = m.oid AND p.proname = need.function AND t.tgtype = need.kind
                  AND position(t.tgenabled::text IN need.enabled) > 0
            )
            -- A table without row_digest keeps digests of its own (info["row_digest"] names the column).
            AND (need.function <> 'stamp_digest' OR EXISTS (
                SELECT FROM pg_attribute a WHERE a.attrelid = m.oid AND a.attname = 'row_digest' AND NOT a.attisdropped
            ))
            UNION ALL
            SELECT w, 'does not exist' FROM unnest(CAST(:wanted AS text[])) AS w
            WHERE to_regclass('public.' || quote_ident(w)) IS NULL
            ORDER BY 1, 2
            """
        ),
        {"wanted": wanted},
    )
    return [f"{table} {what}" for table, what in rows]
