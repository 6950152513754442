"""What intake asks of and writes to the database: files, statements, lines, the chain."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from bank_adapters.model import Statement, StatementFileReading
from reconciliation.intake import Link, booked_lines, content_key
from reconciliation.line_store import insert_lines, lines_of
from reconciliation.model import CustodyAccountRef, StatementReceipt
from reconciliation.reasons import to_store
from reconciliation.versions import facts_of


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A stored arrival. ``same_bytes_as`` is the first arrival of the same bytes, if this is not it."""

    statement_file_id: int
    sha256: bytes
    same_bytes_as: int | None


@dataclass(frozen=True, slots=True)
class WaitingStatement:
    """A statement that is kept and does not count yet; ``statement_id`` is its first version, ``newest_id`` its newest.

    ``first_booked``: when the first line it was first told with was booked.
    """

    statement_id: int
    link: Link
    statement_file_id: int
    newest_id: int
    first_booked: date | None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A statement in force beside a day."""

    statement_id: int
    link: Link


def lock_account(conn: Connection, ref: CustodyAccountRef) -> None:
    """Let no other transaction take in or reconcile this account until the end of this one."""
    conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('reconciliation/' || :account, 0))"),
        {"account": str(ref.custody_account_id)},
    )


def store_file(
    conn: Connection, data: bytes, name: str, *, sender_bank: str, now: datetime, actor: str, delivered_at: datetime | None = None
) -> StoredFile:
    """Keep the bytes as received, with digest, sender and time; the same bytes are kept once and pointed at.

    ``delivered_at``: when the bank had put them where they were collected, if that is known.
    """
    sha256 = hashlib.sha256(data).digest()
    conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:digest, 1))"), {"digest": sha256.hex()})
    # Asked by a function of the database: another bank's file with these bytes is hidden from this bank's session.
    first = conn.execute(text("SELECT first_arrival_of(:sha256)"), {"sha256": sha256}).scalar_one()
    number = conn.execute(
        text(
            """
            INSERT INTO statement_file
                (file_name, sender_bank, received_by, received_at, sha256, size_bytes, content, same_bytes_as, delivered_at)
            VALUES (:name, :sender, :actor, :now, :sha256, :size, :content, :first, :delivered)
            RETURNING statement_file_id
            """
        ),
        {
            "name": name,
            "sender": sender_bank,
            "actor": actor,
            "now": now,
            "sha256": sha256,
            "size": len(data),
            "content": data if first is None else None,
            "first": first,
            "delivered": delivered_at,
        },
    ).scalar_one()
    return StoredFile(int(number), sha256, first)


def file_saying_the_same(conn: Connection, digest: bytes | None, sender_bank: str) -> int | None:
    """An earlier accepted file of this bank that says the same, under whatever name or encoding."""
    if digest is None:
        return None
    found: int | None = conn.execute(
        text(
            """
            SELECT min(r.statement_file_id) FROM statement_file_reading r
            JOIN statement_file f ON f.statement_file_id = r.statement_file_id
            WHERE r.content_digest = :digest AND r.accepted AND r.same_content_as IS NULL AND f.sender_bank = :sender
            """
        ),
        {"digest": digest, "sender": sender_bank},
    ).scalar_one()
    return found


def first_reading_accepted(conn: Connection, statement_file_id: int, sender_bank: str) -> bool:
    """Whether those very bytes were accepted when the same bank first sent them (a refused file may be tried again)."""
    return bool(
        conn.execute(
            text(
                """
                SELECT bool_or(r.accepted) FROM statement_file_reading r
                JOIN statement_file f ON f.statement_file_id = r.statement_file_id
                WHERE :file IN (f.statement_file_id, f.same_bytes_as) AND f.sender_bank = :sender
                """
            ),
            {"file": statement_file_id, "sender": sender_bank},
        ).scalar_one()
    )


def store_reading(
    conn: Connection,
    statement_file_id: int,
    reading: StatementFileReading,
    *,
    digest: bytes | None,
    same_content_as: int | None,
    accepted: bool,
    statements: Sequence[StatementReceipt],
) -> None:
    """Keep what was read in a file and what became of it."""
    conn.execute(
        text(
            """
            INSERT INTO statement_file_reading
                (statement_file_id, accepted, format, profile, encoding, content_digest, same_content_as, statements, findings)
            VALUES (:file, :accepted, :format, :profile, :encoding, :digest, :same, CAST(:statements AS jsonb),
                CAST(:findings AS jsonb))
            """
        ),
        {
            "file": statement_file_id,
            "accepted": accepted,
            "format": reading.format,
            "profile": reading.profile,
            "encoding": reading.encoding,
            "digest": digest,
            "same": same_content_as,
            "statements": json.dumps([_receipt(one) for one in statements], ensure_ascii=False),
            "findings": json.dumps(
                [
                    {
                        "severity": str(one.severity),
                        "code": one.code,
                        "statement": one.statement,
                        "line": one.line,
                        "field": one.field,
                        "message": one.message,
                        "message_zh": one.message_zh,
                    }
                    for one in reading.findings
                ],
                ensure_ascii=False,
            ),
        },
    )


def _receipt(one: StatementReceipt) -> dict[str, Any]:
    return {
        "index": one.index,
        "account": one.account,
        "business_date": one.business_date.isoformat() if one.business_date else None,
        "outcome": str(one.outcome),
        "kind": one.kind,
        "reasons": [reason.en for reason in one.reasons],  # for whoever reads the table itself
        "told": to_store(one.reasons),
        "custody_account_id": one.ref.custody_account_id if one.ref else None,
        "quarantine_id": one.quarantine_id,
        "lines_absorbed": one.lines_absorbed,
    }


def is_stored(conn: Connection, statement_file_id: int, position: int) -> bool:
    """Whether a statement of a file is kept with its lines: it counts or waits."""
    return bool(
        conn.execute(
            text("SELECT EXISTS (SELECT FROM statement WHERE statement_file_id = :file AND position_in_file = :position)"),
            {"file": statement_file_id, "position": position},
        ).scalar_one()
    )


def last_counted(conn: Connection, ref: CustodyAccountRef) -> tuple[int, Link] | None:
    """How many statements of the account count, and the one at the end of its chain: that of the newest day."""
    row = conn.execute(
        text(
            """
            SELECT (SELECT max(c.link) FROM statement_counted c
                    WHERE c.institution_id = :institution AND c.custody_account_id = :account),
                s.business_date, s.sequence, s.opening_minor_units, s.closing_minor_units
            FROM statement_in_force f JOIN statement s USING (institution_id, statement_id)
            WHERE f.institution_id = :institution AND f.custody_account_id = :account ORDER BY f.business_date DESC LIMIT 1
            """
        ),
        _keys(ref),
    ).one_or_none()
    return (int(row[0]), Link(row[1], row[2], int(row[3]), int(row[4]))) if row else None


def neighbours(conn: Connection, ref: CustodyAccountRef, day: date) -> tuple[Neighbour | None, Neighbour | None]:
    """The statements in force next before and next after a day; None where none counts."""
    found: list[Neighbour | None] = []
    for comparison, order in (("<", "DESC"), (">", "ASC")):
        row = conn.execute(
            text(
                f"""
                SELECT s.statement_id, s.business_date, s.sequence, s.opening_minor_units, s.closing_minor_units
                FROM statement_in_force f JOIN statement s USING (institution_id, statement_id)
                WHERE f.institution_id = :institution AND f.custody_account_id = :account AND f.business_date {comparison} :day
                ORDER BY f.business_date {order} LIMIT 1
                """
            ),
            {**_keys(ref), "day": day},
        ).one_or_none()
        found.append(Neighbour(row[0], Link(row[1], row[2], int(row[3]), int(row[4]))) if row else None)
    return found[0], found[1]


def waiting_statements(conn: Connection, ref: CustodyAccountRef) -> list[WaitingStatement]:
    """Statements kept but not counted, by day and number of arrival, each as its newest version says."""
    rows = conn.execute(
        text(
            """
            SELECT first.statement_id, s.business_date, s.sequence, s.opening_minor_units, s.closing_minor_units,
                s.statement_file_id, s.statement_id, (
                    SELECT l.booking_date FROM statement_line l
                    WHERE l.institution_id = first.institution_id AND l.statement_id = first.statement_id AND l.position = 0)
            FROM statement first
            LEFT JOIN LATERAL (
                SELECT v.statement_id FROM statement_version v
                WHERE v.institution_id = first.institution_id AND v.first_statement_id = first.statement_id
                ORDER BY v.version DESC LIMIT 1
            ) newest ON true
            JOIN statement s ON s.institution_id = first.institution_id
                AND s.statement_id = coalesce(newest.statement_id, first.statement_id)
            WHERE first.institution_id = :institution AND first.custody_account_id = :account
              AND NOT EXISTS (
                SELECT FROM statement_counted c
                WHERE c.institution_id = first.institution_id AND c.statement_id = first.statement_id)
              AND NOT EXISTS (
                SELECT FROM statement_version v
                WHERE v.institution_id = first.institution_id AND v.statement_id = first.statement_id)
              AND NOT EXISTS (
                SELECT FROM statement_overlap o
                WHERE o.institution_id = first.institution_id AND first.statement_id IN (o.statement_id, o.waited_as))
            ORDER BY s.business_date, first.statement_id
            """
        ),
        _keys(ref),
    )
    return [WaitingStatement(row[0], Link(row[1], row[2], int(row[3]), int(row[4])), row[5], row[6], row[7]) for row in rows]


def said_before(
    conn: Connection, ref: CustodyAccountRef, one: Statement, day: date, profile: str | None = None
) -> tuple[int, int] | None:
    """File and statement of the newest version kept for that day that says the very same, if there is one.

    The same: balances and the content of the lines. Read by the same profile, also all else that is said of each line: another
    layout says more or less of the same movement, the same layout saying something else restates it.
    """
    opening, closing = one.opening_balance, one.closing_balance
    assert opening is not None and closing is not None  # noqa: S101, PT018  faults_of has refused a statement without
    kept = conn.execute(
        text(
            """
            SELECT s.statement_id, s.statement_file_id, r.profile
            FROM statement s LEFT JOIN statement_file_reading r USING (statement_file_id)
            WHERE s.institution_id = :institution AND s.custody_account_id = :account AND s.business_date = :day
              AND s.opening_minor_units = :opening AND s.closing_minor_units = :closing
              AND NOT EXISTS (
                SELECT FROM statement_version v
                WHERE v.institution_id = s.institution_id AND v.replaces_statement_id = s.statement_id)
            ORDER BY s.statement_id
            """
        ),
        {**_keys(ref), "day": day, "opening": opening.minor_units, "closing": closing.minor_units},
    ).all()
    if not kept:
        return None
    said = booked_lines(one)
    wanted = Counter(content_key(ref.custody_account_id, line) for line in said)
    for statement_id, file_id, profile_then in kept:
        lines = [kept_line.line for kept_line in lines_of(conn, ref.institution_id, statement_id)]
        if Counter(content_key(ref.custody_account_id, line) for line in lines) != wanted:
            continue
        if profile is None or profile_then != profile or Counter(map(facts_of, lines)) == Counter(map(facts_of, said)):
            return int(file_id), int(statement_id)
    return None


def books_cash(conn: Connection, ref: CustodyAccountRef) -> int:
    """Custody cash in the books now, in minor units; 0 before the account is opened in the books."""
    return int(
        conn.execute(
            text(
                """
                SELECT coalesce(sum(b.balance_minor_units), 0)
                FROM account a JOIN account_balance b USING (institution_id, account_id)
                WHERE a.institution_id = :institution AND a.custody_account_id = :account AND a.kind = 'custody_cash'
                """
            ),
            _keys(ref),
        ).scalar_one()
    )


def store_statement(conn: Connection, ref: CustodyAccountRef, one: Statement, *, file_id: int, index: int, day: date) -> int:
    """Keep a statement and its booked lines; returns its number. They do not count before ``count_statement``."""
    number = store_figures(conn, ref, one, file_id=file_id, index=index, day=day)
    insert_lines(conn, ref, number, list(enumerate(booked_lines(one))))
    return number


def store_figures(
    conn: Connection, ref: CustodyAccountRef, one: Statement, *, file_id: int, index: int, day: date, again: int | None = None
) -> int:
    """Keep what a statement says but its lines; returns its number. ``again``: 2, 3 ... when its place is kept already."""
    lines = booked_lines(one)
    opening, closing = one.opening_balance, one.closing_balance
    assert opening is not None and closing is not None  # noqa: S101, PT018  faults_of has refused a statement without
    number = conn.execute(
        text(
            """
            INSERT INTO statement (institution_id, custody_account_id, statement_file_id, position_in_file, business_date,
                bank_statement_id, sequence, currency, opening_minor_units, closing_minor_units, line_count, in_minor_units,
                out_minor_units, again)
            VALUES (:institution, :account, :file, :index, :day, :bank_id, :sequence, :currency, :opening, :closing, :count,
                :total_in, :total_out, :again)
            RETURNING statement_id
            """
        ),
        {
            **_keys(ref),
            "file": file_id,
            "index": index,
            "day": day,
            "bank_id": one.statement_id,
            "sequence": one.sequence,
            "currency": ref.currency,
            "opening": opening.minor_units,
            "closing": closing.minor_units,
            "count": len(lines),
            "total_in": sum(line.amount.minor_units for line in lines if line.direction == "IN"),
            "total_out": sum(line.amount.minor_units for line in lines if line.direction == "OUT"),
            "again": again,
        },
    ).scalar_one()
    return int(number)


def count_statement(conn: Connection, ref: CustodyAccountRef, statement_id: int, day: date, link: int) -> None:
    """Let a statement count as the ``link``-th of its account: from now on its lines count. Its day is its place in the chain."""
    conn.execute(
        text(
            """
            INSERT INTO statement_counted
                (institution_id, statement_id, custody_account_id, business_date, link, previous_link)
            VALUES (:institution, :statement, :account, :day, :link, :previous)
            """
        ),
        {**_keys(ref), "statement": statement_id, "day": day, "link": link, "previous": link - 1 if link > 1 else None},
    )


def _keys(ref: CustodyAccountRef) -> dict[str, Any]:
    return {"institution": ref.institution_id, "account": ref.custody_account_id}
