"""Bank lines in the database: written with their identity, read back as the bank said them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from bank_adapters.model import Direction, LineStatus, StatementLine
from money import Money
from reconciliation.intake import content_key, line_identities
from reconciliation.model import CustodyAccountRef


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A bank line as kept: its identity, its place in its statement, and what the bank said."""

    line_id: str
    position: int
    line: StatementLine


def insert_lines(
    conn: Connection, ref: CustodyAccountRef, statement_id: int, lines: Sequence[tuple[int, StatementLine]]
) -> list[str]:
    """Keep lines of a statement, each with its 0-based place in it; returns their identities in that order.

    Identities go on from the lines the account has: the same content again is another movement.
    """
    if not lines:
        return []
    said = [line for _, line in lines]
    identities = line_identities(ref.custody_account_id, said, _contents_before(conn, ref, said))
    keys = {"institution": ref.institution_id, "account": ref.custody_account_id, "statement": statement_id}
    placed = list(zip(lines, identities, strict=True))
    for start in range(0, len(placed), _BLOCK):
        rows = [_row(place, line, made) for (place, line), made in placed[start : start + _BLOCK]]
        conn.execute(_INSERT_LINES, {**keys, "rows": json.dumps(rows, ensure_ascii=False)})
    return [identity for identity, _ in identities]


def lines_of(conn: Connection, institution_id: int, statement_id: int) -> list[StoredLine]:
    """The lines of a statement, repeated ones included, oldest first."""
    rows = conn.execute(
        text(
            """
            SELECT l.*, l.position AS place, l.file_line AS at_line FROM statement_line l
            WHERE l.institution_id = :institution AND l.statement_id = :statement
            UNION ALL
            SELECT l.*, k.position, k.file_line FROM statement_line_kept k JOIN statement_line l USING (institution_id, line_id)
            WHERE k.institution_id = :institution AND k.statement_id = :statement
            ORDER BY place
            """
        ),
        {"institution": institution_id, "statement": statement_id},
    )
    return [StoredLine(row.line_id, row.place, _as_said(row)) for row in rows]


def every_reference(line: StatementLine) -> tuple[str, ...]:
    """All references a matcher may use."""
    own = line.end_to_end_reference
    return (*line.references, own) if own and own not in line.references else tuple(line.references)


#: Rows sent at once: one statement for thousands of lines costs the program a fraction of as many statements.
_BLOCK = 5_000

_INSERT_LINES = text(
    """
    INSERT INTO statement_line (institution_id, line_id, statement_id, custody_account_id, position, ordinal, booking_date,
        value_date, direction, amount_minor_units, currency, bank_reference, line_references, counterparty_name,
        counterparty_account, description, transaction_code, reversal, running_balance_minor_units, file_line)
    SELECT :institution, one.line_id, :statement, :account, one.position, one.ordinal, one.booking_date, one.value_date,
        one.direction, one.amount, one.currency, one.bank_reference, one.line_references, one.counterparty_name,
        one.counterparty_account, one.description, one.transaction_code, one.reversal, one.running_balance, one.file_line
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS one (line_id text, position integer, ordinal integer, booking_date date,
        value_date date, direction text, amount bigint, currency text, bank_reference text, line_references text[],
        counterparty_name text, counterparty_account text, description text, transaction_code text, reversal boolean,
        running_balance bigint, file_line integer)
    """
)


def _row(position: int, line: StatementLine, identity: tuple[str, int]) -> dict[str, Any]:
    return {
        "line_id": identity[0],
        "position": position,
        "ordinal": identity[1],
        "booking_date": line.booking_date and line.booking_date.isoformat(),
        "value_date": line.value_date and line.value_date.isoformat(),
        "direction": str(line.direction),
        "amount": line.amount.minor_units,
        "currency": line.amount.currency,
        "bank_reference": line.bank_reference,
        "line_references": every_reference(line),
        "counterparty_name": line.counterparty_name,
        "counterparty_account": line.counterparty_account,
        "description": line.description,
        "transaction_code": line.transaction_code,
        "reversal": line.reversal,
        "running_balance": line.running_balance.minor_units if line.running_balance else None,
        "file_line": line.line,
    }


def _contents_before(conn: Connection, ref: CustodyAccountRef, lines: Sequence[StatementLine]) -> dict[str, int]:
    """How many lines of the same content the account has already (only days of the new lines can share one)."""
    rows = conn.execute(
        text(
            """
            SELECT booking_date, direction, amount_minor_units, currency, bank_reference, counterparty_account, description
            FROM statement_line
            WHERE institution_id = :institution AND custody_account_id = :account AND booking_date = ANY (:days)
            """
        ),
        {
            "institution": ref.institution_id,
            "account": ref.custody_account_id,
            "days": sorted({line.booking_date for line in lines if line.booking_date}),
        },
    )
    found: dict[str, int] = {}
    for row in rows:
        key = content_key(ref.custody_account_id, _identifying(row))
        found[key] = found.get(key, 0) + 1
    return found


def _identifying(row: Any) -> StatementLine:
    return StatementLine(
        booking_date=row.booking_date,
        value_date=None,
        direction=Direction(row.direction),
        amount=Money(int(row.amount_minor_units), row.currency),
        status=LineStatus.BOOKED,
        line=1,
        bank_reference=row.bank_reference,
        counterparty_account=row.counterparty_account,
        description=row.description,
    )


def _as_said(row: Any) -> StatementLine:
    running = row.running_balance_minor_units
    return StatementLine(
        booking_date=row.booking_date,
        value_date=row.value_date,
        direction=Direction(row.direction),
        amount=Money(int(row.amount_minor_units), row.currency),
        status=LineStatus.BOOKED,
        line=row.at_line,
        bank_reference=row.bank_reference,
        references=tuple(row.line_references),
        counterparty_name=row.counterparty_name,
        counterparty_account=row.counterparty_account,
        description=row.description,
        transaction_code=row.transaction_code,
        reversal=row.reversal,
        running_balance=Money(int(running), row.currency) if running is not None else None,
    )
