r"""The tables of an evidence pack as CSV: every column exactly as PostgreSQL writes it, so that row digests can be derived again.

No value is ``\N``. Text that a spreadsheet would run as a formula, or that begins with an apostrophe, gets an apostrophe before
it, which the verifier takes off. Personal data is replaced by ``(masked)`` unless asked for; the row's digest stays.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection, text

from storage.append_only import canonical_session_sql

#: What a pack holds of an institution's evidence. Tables recorded but not listed here stay bound by their signed digests.
PACK_TABLES = (
    "account", "account_closing", "balance_snapshot_taken", "channel_settlement", "channel_settlement_item",
    "class_hour_event", "correction", "custody_account", "disbursement_instruction", "discrepancy", "discrepancy_event",
    "funding", "hold", "hold_lift", "hold_lift_proposal", "institution", "match", "match_bank_line", "match_book_item",
    "match_undone",
    "open_item", "open_item_clearing", "opening_balance", "orders", "pending_resolution", "pending_transfer",
    "period_balance", "period_event", "posting_batch", "prepayment", "reconciliation_run", "refund", "refund_instruction",
    "refund_request", "release", "run_discrepancy", "sign_off_event", "statement", "statement_counted", "statement_line",
    "statement_line_absorbed", "statement_line_kept", "statement_overlap", "statement_version",
)  # fmt: skip

#: Columns that name, or may name, payers and students, or hold other institutions' data; shown only to those who may see them.
PERSONAL: Mapping[str, tuple[str, ...]] = {
    "open_item": ("counterparty_name", "counterparty_account"),
    "refund": ("payee_name", "payee_account"),
    "refund_request": ("payee_name", "payee_account", "reason"),
    "statement_line": ("counterparty_name", "counterparty_account", "description"),
    "statement_file": ("content",),
    "instruction_file": ("content",),
}

#: Never in a pack, also not for those who may see personal data: a bank's instruction file is about many institutions.
NEVER = {"instruction_file": ("content",)}

#: Bytes that stand in members of their own, named by this column's SHA-256.
_BYTES_IN_MEMBERS = {"statement_file": {"content": ("statements", "sha256")}}

_FORMULA = r"E'^[''=+@\\-\t\r\n＝＋－＠]|^\\\\N$'"
_FORMULA_HERE = re.compile(r"['=+@\-\t\r\n＝＋－＠]|\\N$")
_TEXT_TYPES = {"text", "character varying"}


@dataclass(frozen=True, slots=True)
class DumpedTable:
    """A table as the manifest tells of it."""

    path: Path
    columns: list[str]
    rows: int
    masked: list[str]
    members: dict[str, str] = field(default_factory=dict)

    @property
    def told(self) -> dict[str, Any]:
        return {"columns": self.columns, "rows": self.rows, "masked": self.masked, "members": self.members}


def dump_table(conn: Connection, name: str, where: str, out: Path, *, personal: bool) -> DumpedTable:
    """Write the rows of a table that meet a condition (SQL made by this program) in the order of its primary key."""
    columns = _columns(conn, name)
    never = NEVER.get(name, ())
    masked = [one for one, _ in columns if one in PERSONAL.get(name, ()) and (not personal or one in never)]
    in_members = {
        column: (folder, key) for column, (folder, key) in _BYTES_IN_MEMBERS.get(name, {}).items() if column not in masked
    }
    shown = [_shown(column, kind, masked=column in masked, key=in_members.get(column, ("", ""))[1]) for column, kind in columns]
    order = ", ".join(f'"{one}"' for one in _key(conn, name))
    query = f'SELECT {", ".join(shown)} FROM "{name}" WHERE {where} ORDER BY {order}'
    rows = copy_csv(conn, query, out)
    return DumpedTable(out, [one for one, _ in columns], rows, masked, {one: folder for one, (folder, _) in in_members.items()})


def copy_csv(conn: Connection, query: str, out: Path) -> int:
    """The rows of a query as CSV under their names, streamed from the server; how many."""
    for statement in canonical_session_sql():
        conn.execute(text(statement))
    driver: psycopg.Connection[Any] = conn.connection.driver_connection  # type: ignore[assignment]
    with driver.cursor() as cursor, out.open("wb") as stream:
        statement = f"COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER true, NULL '\\N')"
        with cursor.copy(sql.SQL(statement)) as copy:
            for block in copy:
                stream.write(block)
        return cursor.rowcount


def write_table(out: Path, columns: list[str], rows: Iterable[Sequence[int | str]]) -> DumpedTable:
    """A table of a pack that no database table holds; whole numbers stay as they are, text is kept from running."""
    count = 0
    with out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([f"'{cell}" if isinstance(cell, str) and _FORMULA_HERE.match(cell) else cell for cell in row])
            count += 1
    return DumpedTable(out, columns, count, [])


def _shown(column: str, kind: str, *, masked: bool, key: str) -> str:
    if masked:
        return f'CASE WHEN "{column}" IS NOT NULL THEN \'(masked)\' END AS "{column}"'
    if key:
        return f'CASE WHEN "{column}" IS NOT NULL THEN encode("{key}", \'hex\') END AS "{column}"'
    if kind in _TEXT_TYPES:
        return f'CASE WHEN "{column}" ~ {_FORMULA} THEN \'\'\'\' || "{column}" ELSE "{column}" END AS "{column}"'
    return f'"{column}"'


def _columns(conn: Connection, name: str) -> list[tuple[str, str]]:
    rows = conn.execute(
        text("""
            SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
        """),
        {"name": f'public."{name}"'},
    )
    return [(column, kind) for column, kind in rows]


def _key(conn: Connection, name: str) -> list[str]:
    if name == "transfer":
        return ["batch_id", "line"]
    rows = conn.execute(
        text("""
            SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = to_regclass(:name) AND i.indisprimary ORDER BY array_position(i.indkey::smallint[], a.attnum)
        """),
        {"name": f'public."{name}"'},
    )
    return list(rows.scalars())


def existing_tables(conn: Connection, names: tuple[str, ...]) -> list[str]:
    """Those of the tables this schema has, in order."""
    return [name for name in names if conn.scalar(text("SELECT to_regclass(:name)"), {"name": f'public."{name}"'}) is not None]
