"""What a run reads of earlier runs and writes: the run, its matches with their members, what it found open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection, text

from reconciliation.matching.outcome import DISCREPANCY_COLUMNS, MATCH_COLUMNS, rows_of
from reconciliation.model import ClearedItem, CustodyAccountRef


@dataclass(frozen=True, slots=True)
class StatementSummary:
    """A counted statement's figures, minor units."""

    statement_id: int
    business_date: date
    sequence: str | None
    opening: int
    closing: int
    total_in: int
    total_out: int
    line_count: int
    file_name: str
    sha256: str
    sender_bank: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A stored run."""

    run_id: int
    business_date: date
    rules_version: str
    output_hash: str
    statement_id: int | None
    opening: int | None
    closing: int | None
    ledger_cash: int
    open_lines: int


def _keys(ref: CustodyAccountRef) -> dict[str, Any]:
    return {"institution": ref.institution_id, "account": ref.custody_account_id}


def counted_statements(
    conn: Connection, ref: CustodyAccountRef, through: date, *, newest: int = 1, known_at: datetime | None = None
) -> list[StatementSummary]:
    """The newest counted statements through a day, newest first, each in the version in force; ``known_at``: then."""
    rows = conn.execute(
        text(
            """
            SELECT s.statement_id, s.business_date, s.sequence, s.opening_minor_units, s.closing_minor_units, s.in_minor_units,
                s.out_minor_units, s.line_count, f.file_name, encode(f.sha256, 'hex'), f.sender_bank
            FROM statements_in_force(CAST(:known_at AS timestamptz)) c JOIN statement s USING (institution_id, statement_id)
            JOIN statement_file f USING (statement_file_id)
            WHERE c.institution_id = :institution AND c.custody_account_id = :account AND c.business_date <= :through
            ORDER BY c.business_date DESC LIMIT :newest
            """
        ),
        {**_keys(ref), "through": through, "newest": newest, "known_at": known_at or "infinity"},
    )
    return [StatementSummary(*row) for row in rows]


def counts_after(conn: Connection, ref: CustodyAccountRef, day: date, *, known_at: datetime | None = None) -> bool:
    """Whether a later statement counts: it opens with the balance before it, so nothing moved on a day without one.

    ``known_at``: whether one counted by then.
    """
    return bool(
        conn.execute(
            text(
                """
                SELECT EXISTS (SELECT FROM statement_counted
                    WHERE institution_id = :institution AND custody_account_id = :account AND business_date > :day
                      AND (CAST(:known_at AS timestamptz) IS NULL OR recorded_at <= :known_at))
                """
            ),
            {**_keys(ref), "day": day, "known_at": known_at},
        ).scalar_one()
    )


def latest_run(conn: Connection, ref: CustodyAccountRef, business_date: date) -> RunRecord | None:
    """The newest run of an account and day."""
    row = conn.execute(
        text(
            """
            SELECT run_id, business_date, rules_version, output_hash, statement_id, opening_minor_units, closing_minor_units,
                ledger_cash_minor_units, open_lines_minor_units
            FROM reconciliation_run
            WHERE institution_id = :institution AND custody_account_id = :account AND business_date = :day
            ORDER BY run_id DESC LIMIT 1
            """
        ),
        {**_keys(ref), "day": business_date},
    ).one_or_none()
    return RunRecord(*row) if row else None


def restated_since(conn: Connection, ref: CustodyAccountRef, through: date, run_id: int) -> bool:
    """Whether a new version of a statement through a day, or a late one for a skipped day, came into force after a run."""
    return bool(
        conn.execute(
            text(
                """
                SELECT EXISTS (
                    SELECT FROM statement_version v
                    JOIN reconciliation_run r ON r.institution_id = v.institution_id AND r.run_id = :run
                    WHERE v.institution_id = :institution AND v.custody_account_id = :account AND v.business_date <= :through
                      AND v.recorded_at > r.recorded_at
                ) OR EXISTS (
                    SELECT FROM statement_counted c
                    JOIN reconciliation_run r ON r.institution_id = c.institution_id AND r.run_id = :run
                    WHERE c.institution_id = :institution AND c.custody_account_id = :account AND c.business_date <= :through
                      AND c.recorded_at > r.recorded_at
                )
                """
            ),
            {**_keys(ref), "through": through, "run": run_id},
        ).scalar_one()
    )


def known_through(conn: Connection, ref: CustodyAccountRef) -> date | None:
    """The newest business day whose statement a run of this account has compared; None before the first such run."""
    found: date | None = conn.execute(
        text(
            """
            SELECT max(s.business_date) FROM reconciliation_run r JOIN statement s USING (institution_id, statement_id)
            WHERE r.institution_id = :institution AND r.custody_account_id = :account
            """
        ),
        _keys(ref),
    ).scalar_one()
    return found


def insert_run(conn: Connection, ref: CustodyAccountRef, facts: dict[str, Any]) -> int:
    """Write a run; returns its number. ``facts``: the columns of reconciliation_run."""
    columns = ", ".join(facts)
    values = ", ".join(f":{name}" for name in facts)
    return int(
        conn.execute(
            text(
                f"INSERT INTO reconciliation_run (institution_id, custody_account_id, {columns})"
                f" VALUES (:institution, :account, {values}) RETURNING run_id"
            ),
            {**_keys(ref), **facts},
        ).scalar_one()
    )


def insert_matches(
    conn: Connection, ref: CustodyAccountRef, confirmed: pd.DataFrame, *, run_id: int | None, rules_version: str, actor: str
) -> None:
    """Write confirmed matches (outcome.MATCH_COLUMNS, one row per member)."""
    if confirmed.empty:
        return
    heads = confirmed.drop_duplicates("match_id")
    conn.execute(
        text(
            """
            INSERT INTO match (institution_id, match_id, custody_account_id, run_id, rule, rules_version, explanation, matched_by)
            VALUES (:institution, :match_id, :account, :run_id, :rule, :version, :explanation, :actor)
            """
        ),
        [
            {
                **_keys(ref),
                "match_id": row.match_id,
                "run_id": run_id,
                "rule": row.rule,
                "version": rules_version,
                "explanation": row.explanation,
                "actor": actor,
            }
            for row in rows_of(heads)
        ],
    )
    for side, table, column in (("bank", "match_bank_line", "line_id"), ("book", "match_book_item", "item_id")):
        members = confirmed[confirmed["side"] == side]
        if members.empty:
            continue
        member = ":member" if side == "bank" else "CAST(:member AS uuid)"
        conn.execute(
            text(
                f"INSERT INTO {table} (institution_id, {column}, match_id, amount_minor_units)"
                f" VALUES (:institution, {member}, :match_id, :amount)"
            ),
            [
                {"institution": ref.institution_id, "member": row.member_id, "match_id": row.match_id, "amount": int(row.amount)}
                for row in rows_of(members)
            ],
        )


def insert_run_discrepancies(
    conn: Connection, ref: CustodyAccountRef, run_id: int, found: pd.DataFrame, suggested: dict[str, str]
) -> None:
    """Write what a run found open (outcome.DISCREPANCY_COLUMNS, without TIMING). ``suggested``: line id -> item id."""
    if found.empty:
        return
    conn.execute(
        text(
            """
            INSERT INTO run_discrepancy (institution_id, run_id, discrepancy_id, kind, side, amount_minor_units,
                difference_minor_units, line_ids, item_ids, suggested_item_ids, explanation)
            VALUES (:institution, :run_id, :id, :kind, :side, :amount, :difference, :lines, :items, :suggested, :explanation)
            """
        ),
        [
            {
                "institution": ref.institution_id,
                "run_id": run_id,
                "id": row.discrepancy_id,
                "kind": row.kind,
                "side": row.side,
                "amount": int(row.amount),
                "difference": int(row.difference),
                "lines": row.line_ids,
                "items": row.item_ids,
                "suggested": suggested.get(row.line_ids),
                "explanation": row.explanation,
            }
            for row in rows_of(found)
        ],
    )


def stored_outcome(conn: Connection, institution_id: int, run_id: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a run found, from its stored rows, as the frames its output hash is over."""
    matches = conn.execute(
        text(
            """
            SELECT m.match_id, m.rule, 'confirmed', member.side, member.id, member.amount, m.explanation
            FROM match m
            JOIN LATERAL (
                SELECT 'bank' AS side, line_id AS id, amount_minor_units AS amount FROM match_bank_line b
                WHERE b.institution_id = m.institution_id AND b.match_id = m.match_id
                UNION ALL
                SELECT 'book', CAST(item_id AS text), amount_minor_units FROM match_book_item b
                WHERE b.institution_id = m.institution_id AND b.match_id = m.match_id
            ) member ON true
            WHERE m.institution_id = :institution AND m.run_id = :run
            """
        ),
        {"institution": institution_id, "run": run_id},
    )
    found = conn.execute(
        text(
            """
            SELECT r.discrepancy_id, r.kind, CAST(d.custody_account_id AS text), d.currency, r.side, r.line_ids, r.item_ids,
                r.amount_minor_units, r.difference_minor_units, r.explanation
            FROM run_discrepancy r JOIN discrepancy d USING (institution_id, discrepancy_id)
            WHERE r.institution_id = :institution AND r.run_id = :run
            """
        ),
        {"institution": institution_id, "run": run_id},
    )
    return _text_frame(matches, MATCH_COLUMNS), _text_frame(found, DISCREPANCY_COLUMNS)


def _text_frame(rows: Iterable[Any], columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame([[str(value) for value in row] for row in rows], columns=list(columns), dtype="str")


def cleared_by_runs(conn: Connection, ref: CustodyAccountRef, business_date: date) -> list[ClearedItem]:
    """Items the runs of an account and day have cleared, by id: what a job may call funded, paid or refunded."""
    rows = conn.execute(
        text(
            """
            SELECT b.institution_id, b.item_id, i.kind, k.clearing_transfer_id, k.cleared_on
            FROM reconciliation_run r
            JOIN match m ON m.institution_id = r.institution_id AND m.run_id = r.run_id
            JOIN match_book_item b ON b.institution_id = m.institution_id AND b.match_id = m.match_id
            JOIN open_item i ON i.institution_id = b.institution_id AND i.item_id = b.item_id
            JOIN open_item_clearing k ON k.institution_id = b.institution_id AND k.item_id = b.item_id
            WHERE r.institution_id = :institution AND r.custody_account_id = :account AND r.business_date = :day
              AND NOT EXISTS (
                SELECT FROM match_undone u WHERE u.institution_id = m.institution_id AND u.match_id = m.match_id)
            ORDER BY b.item_id
            """
        ),
        {**_keys(ref), "day": business_date},
    )
    return [ClearedItem(*row) for row in rows]
