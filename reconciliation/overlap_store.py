"""What absorbing asks of and writes to the database: the end of the chain with its lines, what an export repeats of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from bank_adapters.model import Direction, Statement, StatementKind, StatementLine
from money import Money
from reconciliation.intake import Link, booked_lines, content_key
from reconciliation.intake_store import store_figures
from reconciliation.line_store import insert_lines, lines_of
from reconciliation.model import CustodyAccountRef
from reconciliation.overlap import Absorption, CountedLine, Stretch


def stretch(conn: Connection, ref: CustodyAccountRef, first: date, day: date, wanted: int) -> Stretch | None:
    """What counts from the statement that closes on ``first`` or next after it, through the one next after ``day``.

    No further back than ``wanted`` lines reach before the end of ``day``: an export with so many cannot repeat more.
    None: nothing counts there.
    """
    rows = conn.execute(
        text(
            """
            SELECT s.statement_id, s.business_date, s.opening_minor_units, s.line_count, s.statement_file_id, r.profile
            FROM statement_in_force f JOIN statement s USING (institution_id, statement_id)
            LEFT JOIN statement_file_reading r USING (statement_file_id)
            WHERE f.institution_id = :institution AND f.custody_account_id = :account AND f.business_date >= :first
              AND f.business_date <= coalesce((
                SELECT min(c.business_date) FROM statement_counted c
                WHERE c.institution_id = :institution AND c.custody_account_id = :account AND c.business_date > :day), :day)
            ORDER BY f.business_date DESC
            """
        ),
        {**_keys(ref), "first": first, "day": day},
    ).all()
    reached = 0
    kept = []
    for row in rows:
        kept.append(row)
        reached += row.line_count if row.business_date <= day else 0
        if reached >= wanted > 0:
            break
    if not kept:
        return None
    statements = [(row.business_date, _counted_lines(conn, ref, row)) for row in reversed(kept)]
    return Stretch(int(kept[-1].opening_minor_units), statements, ref.currency)


def _counted_lines(conn: Connection, ref: CustodyAccountRef, row: Any) -> list[CountedLine]:
    return [
        CountedLine(one.line_id, content_key(ref.custody_account_id, one.line), one.line, int(row.statement_file_id), row.profile)
        for one in lines_of(conn, ref.institution_id, row.statement_id)
    ]


def kept_statement(conn: Connection, ref: CustodyAccountRef, statement_id: int) -> tuple[Statement, tuple[int, int], str | None]:
    """A statement that waits, as the bank said it: with its file and place in it, and the layout it was read by."""
    row = conn.execute(
        text(
            """
            SELECT s.*, r.profile FROM statement s LEFT JOIN statement_file_reading r USING (statement_file_id)
            WHERE s.institution_id = :institution AND s.statement_id = :statement
            """
        ),
        {"institution": ref.institution_id, "statement": statement_id},
    ).one()
    said = Statement(
        kind=StatementKind.STATEMENT,
        account=ref.account_number,
        currency=row.currency,
        statement_id=row.bank_statement_id,
        sequence=row.sequence,
        opening_balance=Money(int(row.opening_minor_units), row.currency),
        opening_date=None,
        closing_balance=Money(int(row.closing_minor_units), row.currency),
        closing_date=row.business_date,
        lines=tuple(one.line for one in lines_of(conn, ref.institution_id, statement_id)),
        accepted=True,
    )
    return said, (int(row.statement_file_id), int(row.position_in_file)), row.profile


def _next_again(conn: Connection, statement_file_id: int, position: int) -> int:
    """The number under which a place of a file is kept once more."""
    query = "SELECT 1 + max(coalesce(again, 1)) FROM statement WHERE statement_file_id = :file AND position_in_file = :position"
    return int(conn.execute(text(query), {"file": statement_file_id, "position": position}).scalar_one())


def first_booked(conn: Connection, ref: CustodyAccountRef, statement_id: int) -> date | None:
    """The earliest day a line of a kept statement is booked on; None without lines."""
    found: date | None = conn.execute(
        text(
            """
            SELECT min(booking_date) FROM (
                SELECT booking_date FROM statement_line WHERE institution_id = :institution AND statement_id = :statement
                UNION ALL
                SELECT l.booking_date FROM statement_line_kept k JOIN statement_line l USING (institution_id, line_id)
                WHERE k.institution_id = :institution AND k.statement_id = :statement) AS told
            """
        ),
        {"institution": ref.institution_id, "statement": statement_id},
    ).scalar_one()
    return found


def keep_rest(  # noqa: PLR0917 - the export as said, placed and found
    conn: Connection,
    ref: CustodyAccountRef,
    said: Statement,
    link: Link,
    found: Absorption,
    opening: int,
    *,
    place: tuple[int, int],
    waited_as: int | None = None,
) -> int:
    """Keep what is new in an export as a statement that opens with ``opening`` (minor units), and which lines it repeats.

    ``place``: its file and 0-based index in it. ``waited_as``: the statement it was kept as while it waited. Returns the number.
    """
    file_id, index = place
    lines = booked_lines(said)
    rest = replace(
        said, opening_balance=Money(opening, ref.currency), lines=tuple(lines[one] for one in found.new), newest_first=False
    )
    again = None if waited_as is None else _next_again(conn, *place)
    number = store_figures(conn, ref, rest, file_id=file_id, index=index, day=link.business_date, again=again)
    insert_lines(conn, ref, number, [(one, lines[one]) for one in found.new])
    _insert_overlap(conn, ref, number, link.opening, found.repeated, lines, waited_as=waited_as)
    return number


def _insert_overlap(  # noqa: PLR0917 - one row and its lines
    conn: Connection,
    ref: CustodyAccountRef,
    statement_id: int,
    declared_opening: int,
    repeated: Mapping[int, CountedLine],
    lines: Sequence[StatementLine],
    *,
    waited_as: int | None,
) -> None:
    """Keep which lines of an export repeat which that count, by their 0-based places in it."""
    units = {way: sum(one.line.amount.minor_units for one in repeated.values() if one.line.direction is way) for way in Direction}
    conn.execute(
        text(
            """
            INSERT INTO statement_overlap (institution_id, statement_id, custody_account_id, waited_as,
                declared_opening_minor_units, absorbed_count, absorbed_in_minor_units, absorbed_out_minor_units)
            VALUES (:institution, :statement, :account, :waited_as, :opening, :count, :total_in, :total_out)
            """
        ),
        {
            **_keys(ref),
            "statement": statement_id,
            "waited_as": waited_as,
            "opening": declared_opening,
            "count": len(repeated),
            "total_in": units[Direction.IN],
            "total_out": units[Direction.OUT],
        },
    )
    places = sorted(repeated)
    balances = [lines[place].running_balance for place in places]
    conn.execute(  # all in one statement: the guard adds them up when it ends
        text(
            """
            INSERT INTO statement_line_absorbed (institution_id, statement_id, position, line_id, custody_account_id,
                running_balance_minor_units, file_line)
            SELECT :institution, :statement, one.position, one.line_id, :account, one.running, one.file_line
            FROM unnest(CAST(:positions AS integer[]), CAST(:line_ids AS text[]), CAST(:running AS bigint[]),
                CAST(:file_lines AS integer[])) AS one (position, line_id, running, file_line)
            """
        ),
        {
            **_keys(ref),
            "statement": statement_id,
            "positions": places,
            "line_ids": [repeated[place].line_id for place in places],
            "running": [None if balance is None else balance.minor_units for balance in balances],
            "file_lines": [lines[place].line for place in places],
        },
    )


def absorbed_lines(conn: Connection, ref: CustodyAccountRef, day: date) -> list[dict[str, Any]]:
    """The lines of a day's exports that were reported before: where each stands, and where the line that counts was reported."""
    rows = conn.execute(
        text(
            """
            SELECT f.file_name, a.file_line, l.booking_date, l.direction, l.amount_minor_units, l.bank_reference, a.line_id,
                first.file_name AS reported_in, l.file_line AS reported_line, reported.business_date AS reported_for
            FROM statement s JOIN statement_line_absorbed a USING (institution_id, statement_id)
            JOIN statement_file f USING (statement_file_id)
            JOIN statement_line l ON l.institution_id = a.institution_id AND l.line_id = a.line_id
            JOIN statement reported ON reported.institution_id = l.institution_id AND reported.statement_id = l.statement_id
            JOIN statement_file first ON first.statement_file_id = reported.statement_file_id
            WHERE s.institution_id = :institution AND s.custody_account_id = :account AND s.business_date = :day
            ORDER BY s.statement_id, a.position
            """
        ),
        {**_keys(ref), "day": day},
    )
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for it


def _keys(ref: CustodyAccountRef) -> dict[str, Any]:
    return {"institution": ref.institution_id, "account": ref.custody_account_id}


#: What verification asks of overlaps: (table, SQL selecting row and what).
QUESTIONS: Sequence[tuple[str, str]] = (
    (
        "statement_overlap",
        """
        SELECT 'institution ' || o.institution_id || ', statement ' || o.statement_id,
            CASE WHEN s.custody_account_id <> o.custody_account_id THEN 'it is of another account'
                WHEN o.declared_opening_minor_units + o.absorbed_in_minor_units - o.absorbed_out_minor_units
                    <> s.opening_minor_units
                    THEN 'the declared opening ' || o.declared_opening_minor_units || ' and what was reported before do not '
                        || 'lead to ' || s.opening_minor_units || ', where what is new begins'
                WHEN places.highest + 1 <> o.absorbed_count + s.line_count OR places.places <> places.highest + 1
                    THEN 'its lines, repeated and new, are not one after the other'
                ELSE 'it says ' || o.absorbed_count || ' lines reported before, IN ' || o.absorbed_in_minor_units || ', OUT '
                    || o.absorbed_out_minor_units || '; they are ' || repeated.count || ', IN ' || repeated.came || ', OUT '
                    || repeated.went END
        FROM statement_overlap o JOIN statement s USING (institution_id, statement_id)
        CROSS JOIN LATERAL (
            SELECT count(*) AS count, coalesce(sum(l.amount_minor_units) FILTER (WHERE l.direction = 'IN'), 0) AS came,
                coalesce(sum(l.amount_minor_units) FILTER (WHERE l.direction = 'OUT'), 0) AS went
            FROM statement_line_absorbed a
            JOIN statement_line l ON l.institution_id = a.institution_id AND l.line_id = a.line_id
                AND l.custody_account_id = o.custody_account_id
            WHERE a.institution_id = o.institution_id AND a.statement_id = o.statement_id
        ) AS repeated
        CROSS JOIN LATERAL (
            SELECT count(DISTINCT position) AS places, max(position) AS highest FROM (
                SELECT position FROM statement_line_absorbed a
                WHERE a.institution_id = o.institution_id AND a.statement_id = o.statement_id
                UNION ALL
                SELECT position FROM statement_line l
                WHERE l.institution_id = o.institution_id AND l.statement_id = o.statement_id) AS told
        ) AS places
        WHERE s.custody_account_id <> o.custody_account_id
            OR o.declared_opening_minor_units + o.absorbed_in_minor_units - o.absorbed_out_minor_units <> s.opening_minor_units
            OR (repeated.count, repeated.came, repeated.went)
                <> (o.absorbed_count, o.absorbed_in_minor_units, o.absorbed_out_minor_units)
            OR places.highest + 1 <> o.absorbed_count + s.line_count OR places.places <> places.highest + 1
        """,
    ),
    (
        "statement_line_absorbed",
        """
        SELECT 'institution ' || a.institution_id || ', statement ' || a.statement_id || ', line ' || a.line_id,
            'the line it repeats was reported by no earlier statement that counts'
        FROM statement_line_absorbed a JOIN statement_overlap o USING (institution_id, statement_id)
        WHERE NOT EXISTS (
            SELECT FROM statement_line l
            LEFT JOIN statement_version v ON v.institution_id = l.institution_id AND v.statement_id = l.statement_id
            JOIN statement_counted c ON c.institution_id = l.institution_id
                AND c.statement_id = coalesce(v.first_statement_id, l.statement_id)
            LEFT JOIN statement_counted own ON own.institution_id = a.institution_id AND own.statement_id = a.statement_id
            WHERE l.institution_id = a.institution_id AND l.line_id = a.line_id
                AND (own.link IS NULL OR c.link < own.link))
        """,
    ),
)
