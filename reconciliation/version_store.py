"""What restating asks of and writes to the database: the version in force, the matches on its lines, the new version."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from reconciliation.model import CustodyAccountRef


@dataclass(frozen=True, slots=True)
class VersionInForce:
    """The newest version of a statement that counts (``link``: the how-manieth to count) or waits (no link). Minor units."""

    business_date: date
    first_statement_id: int
    statement_id: int
    version: int
    link: int | None
    opening: int
    closing: int
    file_name: str


@dataclass(frozen=True, slots=True)
class StandingMatch:
    """A match that stands, with its lines and the version of the statement each is in force in."""

    match_id: str
    rule: str
    explanation: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Booking:
    """A transfer as undoing needs it; minor units. ``order`` is its place in the journal."""

    transfer_id: UUID
    reverses: UUID | None
    booking_date: date
    amount: int
    order: tuple[int, int]


_VERSION = """
    SELECT s.business_date, first.statement_id AS first_statement_id, s.statement_id, coalesce(v.version, 1) AS version, c.link,
        s.opening_minor_units, s.closing_minor_units, f.file_name
    FROM statement first
    LEFT JOIN statement_counted c ON c.institution_id = first.institution_id AND c.statement_id = first.statement_id
    LEFT JOIN LATERAL (
        SELECT v.statement_id, v.version FROM statement_version v
        WHERE v.institution_id = first.institution_id AND v.first_statement_id = first.statement_id
        ORDER BY v.version DESC LIMIT 1
    ) v ON true
    JOIN statement s ON s.institution_id = first.institution_id AND s.statement_id = coalesce(v.statement_id, first.statement_id)
    JOIN statement_file f ON f.statement_file_id = s.statement_file_id
    WHERE first.institution_id = :institution AND first.custody_account_id = :account
      AND NOT EXISTS (
        SELECT FROM statement_version own
        WHERE own.institution_id = first.institution_id AND own.statement_id = first.statement_id)
      AND NOT EXISTS (
        SELECT FROM statement_overlap o
        WHERE o.institution_id = first.institution_id
          AND (o.waited_as = first.statement_id OR (o.statement_id = first.statement_id AND c.link IS NULL)))
"""


def version_of_day(conn: Connection, ref: CustodyAccountRef, day: date) -> VersionInForce | None:
    """The version in force of the statement of a day: the one that counts, else the first that waits."""
    row = conn.execute(
        text(f"{_VERSION} AND first.business_date = :day ORDER BY c.link NULLS LAST, first.statement_id LIMIT 1"),
        {**_keys(ref), "day": day},
    ).one_or_none()
    return VersionInForce(*row) if row else None


def versions_at(conn: Connection, ref: CustodyAccountRef, links: Collection[int]) -> dict[int, VersionInForce]:
    """The versions in force at links, by link; links that do not exist are left out."""
    rows = conn.execute(text(f"{_VERSION} AND c.link = ANY (:links)"), {**_keys(ref), "links": sorted(set(links))})
    return {row.link: VersionInForce(*row) for row in rows}


def versions_beside(
    conn: Connection, ref: CustodyAccountRef, days: Collection[date]
) -> dict[date, tuple[VersionInForce | None, VersionInForce | None]]:
    """The versions in force next before and next after each day; None where none counts."""
    around = conn.execute(
        text(
            """
            SELECT d.day,
                (SELECT max(business_date) FROM statement_counted c WHERE c.institution_id = :institution
                    AND c.custody_account_id = :account AND c.business_date < d.day),
                (SELECT min(business_date) FROM statement_counted c WHERE c.institution_id = :institution
                    AND c.custody_account_id = :account AND c.business_date > d.day)
            FROM unnest(CAST(:days AS date[])) AS d (day)
            """
        ),
        {**_keys(ref), "days": sorted(days)},
    ).all()
    wanted = sorted({day for row in around for day in row[1:] if day is not None})
    rows = conn.execute(
        text(f"{_VERSION} AND c.link IS NOT NULL AND first.business_date = ANY (:days)"), {**_keys(ref), "days": wanted}
    )
    found = {row.business_date: VersionInForce(*row) for row in rows}
    return {day: (found.get(before), found.get(after)) for day, before, after in around}


def versions_of_day(conn: Connection, ref: CustodyAccountRef, day: date) -> list[dict[str, Any]]:
    """Every version of the statement of a day, oldest first: number, file, balances, who prepared and who approved it.

    ``absorbed_count``: how many further lines of its export were reported before; None where the export repeats nothing.
    """
    rows = conn.execute(
        text(
            """
            SELECT coalesce(v.version, 1) AS version, f.file_name, s.statement_file_id, s.opening_minor_units,
                s.closing_minor_units, s.line_count, v.prepared_by, v.approved_by, v.quarantine_id, o.absorbed_count
            FROM statement s JOIN statement_file f USING (statement_file_id)
            LEFT JOIN statement_version v USING (institution_id, statement_id)
            LEFT JOIN statement_overlap o USING (institution_id, statement_id)
            WHERE s.institution_id = :institution AND s.custody_account_id = :account AND s.business_date = :day
              AND NOT EXISTS (
                SELECT FROM statement_overlap w WHERE w.institution_id = s.institution_id AND w.waited_as = s.statement_id)
            ORDER BY 1, s.statement_id
            """
        ),
        {**_keys(ref), "day": day},
    )
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for it


def standing_matches(conn: Connection, institution_id: int, line_ids: Collection[str]) -> list[StandingMatch]:
    """The matches these lines belong to that nobody has undone, each with all its lines."""
    rows = conn.execute(
        text(
            """
            SELECT m.match_id, m.rule, m.explanation, array_agg(b.line_id ORDER BY b.line_id)
            FROM match m JOIN match_bank_line b USING (institution_id, match_id)
            WHERE m.institution_id = :institution
              AND EXISTS (
                SELECT FROM match_bank_line own
                WHERE own.institution_id = m.institution_id AND own.match_id = m.match_id AND own.line_id = ANY (:lines))
              AND NOT EXISTS (
                SELECT FROM match_undone u WHERE u.institution_id = m.institution_id AND u.match_id = m.match_id)
            GROUP BY 1, 2, 3 ORDER BY 1
            """
        ),
        {"institution": institution_id, "lines": sorted(line_ids)},
    )
    return [StandingMatch(row[0], row[1], row[2], tuple(row[3])) for row in rows]


def versions_of_lines(conn: Connection, institution_id: int, line_ids: Collection[str]) -> dict[int, list[str]]:
    """Link in the chain -> those of the lines that are in force there."""
    rows = conn.execute(
        text(
            "SELECT link, array_agg(line_id ORDER BY line_id) FROM line_in_force"
            " WHERE institution_id = :institution AND line_id = ANY (:lines) GROUP BY 1 ORDER BY 1"
        ),
        {"institution": institution_id, "lines": sorted(line_ids)},
    )
    return {int(row[0]): list(row[1]) for row in rows}


def bookings_of(conn: Connection, institution_id: int, matches: Sequence[StandingMatch]) -> list[Booking]:
    """What the books hold because of matches: the postings of their lines, and what a returned payment's line has reversed."""
    lines = [line for one in matches for line in one.lines]
    back = [line for one in matches if one.rule == "reverse" for line in one.lines]
    rows = conn.execute(
        text(
            """
            SELECT transfer_id, reverses, booking_date, amount_minor_units, batch_id, line FROM transfer
            WHERE institution_id = :institution AND (
                (source_kind = 'bank_line' AND source_ref = ANY (:lines))
                OR reverses IN (
                    SELECT k.clearing_transfer_id
                    FROM discrepancy d
                    JOIN discrepancy_event p ON p.institution_id = d.institution_id AND p.discrepancy_id = d.discrepancy_id
                        AND p.event = 'prepared' AND p.act = 'reverse'
                    JOIN discrepancy_event a ON a.institution_id = p.institution_id AND a.discrepancy_id = p.discrepancy_id
                        AND a.event = 'approved' AND a.prepared_event_no = p.event_no
                    JOIN open_item_clearing k ON k.institution_id = p.institution_id AND k.item_id = ANY (p.item_ids)
                    WHERE d.institution_id = :institution AND d.kind = 'RETURNED' AND d.line_ids && CAST(:back AS text[])))
            """
        ),
        {"institution": institution_id, "lines": lines, "back": back},
    )
    return [_booking(row) for row in rows]


def reversals_of(conn: Connection, institution_id: int, transfers: Collection[UUID]) -> list[Booking]:
    """The transfers that reverse these."""
    rows = conn.execute(
        text(
            "SELECT transfer_id, reverses, booking_date, amount_minor_units, batch_id, line FROM transfer"
            " WHERE institution_id = :institution AND reverses = ANY (:transfers)"
        ),
        {"institution": institution_id, "transfers": sorted(transfers)},
    )
    return [_booking(row) for row in rows]


def _booking(row: Any) -> Booking:
    return Booking(row.transfer_id, row.reverses, row.booking_date, int(row.amount_minor_units), (row.batch_id, row.line))


def insert_version(
    conn: Connection,
    ref: CustodyAccountRef,
    replaced: VersionInForce,
    statement_id: int,
    *,
    quarantine_id: int,
    approved_event_no: int,
    prepared_by: str,
    approved_by: str,
) -> None:
    """Put a statement in the place of the version before it."""
    conn.execute(
        text(
            """
            INSERT INTO statement_version (institution_id, statement_id, custody_account_id, business_date, first_statement_id,
                version, replaces_statement_id, quarantine_id, approved_event_no, approval, prepared_by, approved_by)
            VALUES (:institution, :statement, :account, :day, :first, :version, :replaces, :quarantine, :event_no, 'approved',
                :prepared_by, :approved_by)
            """
        ),
        {
            **_keys(ref),
            "statement": statement_id,
            "day": replaced.business_date,
            "first": replaced.first_statement_id,
            "version": replaced.version + 1,
            "replaces": replaced.statement_id,
            "quarantine": quarantine_id,
            "event_no": approved_event_no,
            "prepared_by": prepared_by,
            "approved_by": approved_by,
        },
    )


def insert_kept(
    conn: Connection, ref: CustodyAccountRef, statement_id: int, kept: Sequence[tuple[str, int, int | None, int]]
) -> None:
    """Lines a new version repeats: (line id, place, balance after it in minor units, line in the file)."""
    if kept:
        conn.execute(
            text(
                """
                INSERT INTO statement_line_kept (institution_id, statement_id, line_id, custody_account_id, position,
                    running_balance_minor_units, file_line)
                VALUES (:institution, :statement, :line, :account, :position, :running, :file_line)
                """
            ),
            [
                {
                    **_keys(ref),
                    "statement": statement_id,
                    "line": line,
                    "position": place,
                    "running": running,
                    "file_line": file_line,
                }
                for line, place, running, file_line in kept
            ],
        )


def repeat_statement(conn: Connection, ref: CustodyAccountRef, statement_id: int) -> int:
    """Keep a statement's figures once more, so that lines of it can be opened again; returns the new number."""
    return int(
        conn.execute(
            text(
                """
                INSERT INTO statement (institution_id, custody_account_id, statement_file_id, position_in_file, business_date,
                    bank_statement_id, sequence, currency, opening_minor_units, closing_minor_units, line_count,
                    in_minor_units, out_minor_units, again)
                SELECT institution_id, custody_account_id, statement_file_id, position_in_file, business_date, bank_statement_id,
                    sequence, currency, opening_minor_units, closing_minor_units, line_count, in_minor_units, out_minor_units,
                    (SELECT 1 + coalesce(max(o.again), 1) FROM statement o
                        WHERE o.statement_file_id = s.statement_file_id AND o.position_in_file = s.position_in_file)
                FROM statement s WHERE institution_id = :institution AND statement_id = :statement
                RETURNING statement_id
                """
            ),
            {"institution": ref.institution_id, "statement": statement_id},
        ).scalar_one()
    )


def undo_match(conn: Connection, ref: CustodyAccountRef, match_id: str, statement_id: int, reason: str) -> None:
    """Record that a match has fallen with a line of it."""
    conn.execute(
        text(
            "INSERT INTO match_undone (institution_id, match_id, custody_account_id, statement_id, reason)"
            " VALUES (:institution, :match, :account, :statement, :reason)"
        ),
        {**_keys(ref), "match": match_id, "statement": statement_id, "reason": reason},
    )


def _keys(ref: CustodyAccountRef) -> dict[str, Any]:
    return {"institution": ref.institution_id, "account": ref.custody_account_id}
