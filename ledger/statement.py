"""An account's postings, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from ledger.accounts import find_account
from ledger.model import Side
from ledger.months import first_id, following, month_of
from money import Money


@dataclass(frozen=True, slots=True)
class AccountStatementLine:
    """One posting of an account. ``seq`` counts them from 1; ``balance`` is on the normal side, after this posting."""

    seq: int
    booking_date: date
    posted_at: datetime
    side: Side
    amount: Money
    balance: Money
    counter_account_id: int
    reason: str
    source_kind: str
    source_ref: str
    transfer_id: UUID
    batch_id: int
    line: int
    actor: str
    rule_version: str


def account_statement(  # noqa: PLR0917  account and period come naturally in this order
    conn: Connection,
    account_id: int,
    from_: date | None = None,
    to: date | None = None,
    after: int | None = None,
    limit: int = 50,
    *,
    known_at: datetime | None = None,
) -> list[AccountStatementLine]:
    """A page of an account's postings in posting order, booked ``from_`` .. ``to`` (both included), after number ``after``.

    ``known_at``: only what was posted by then. The next page starts after the last line's ``seq``.
    Raises LookupError for an unknown account.
    """
    account = find_account(conn, account_id)
    asked = {
        "institution": account.institution_id,
        "account": account_id,
        "from_": from_ or date.min,
        "to": to or date.max,
        "after": after or 0,
        "limit": limit,
        "known_at": known_at,
    }
    within = conn.execute(_WITHIN if from_ is None and to is None else _WITHIN_DAYS, asked).one()
    if within.high_month is None:  # never posted to, or not in those days
        return []
    rows = conn.execute(
        _STATEMENT,
        {
            **asked,
            "first_id": first_id(month_of(within.low_month)),
            "next_id": first_id(following(month_of(within.high_month))),
            "first_seq": within.first_seq,
            "last_seq": within.last_seq,
            "known_id": within.known_id,
        },
    )
    return [
        AccountStatementLine(
            seq=row.seq,
            booking_date=row.booking_date,
            posted_at=row.posted_at,
            side=Side(row.side),
            amount=Money(row.amount_minor_units, row.currency),
            balance=Money(row.balance_minor_units, row.currency),
            counter_account_id=row.counter_account_id,
            reason=row.reason,
            source_kind=row.source_kind,
            source_ref=row.source_ref,
            transfer_id=row.transfer_id,
            batch_id=row.batch_id,
            line=row.line,
            actor=row.actor,
            rule_version=row.rule_version,
        )
        for row in rows
    ]


# Between which numbers a page lies, and in which months: from that of the newest day the account had been posted to by its first
# number, or of a posting that came late, to that of the newest day by its last number.
_LATE_BETWEEN = """
    SELECT min(booking_date) FROM account_late WHERE institution_id = :institution AND account_id = :account
        AND last_seq >= asked.first_seq AND first_seq <= asked.last_seq"""
_KNOWN_ID = """CASE WHEN CAST(:known_at AS timestamptz) IS NULL THEN 9223372036854775807
        ELSE known_batch(:institution, :known_at) END AS known_id"""
_WITHIN = text(f"""
    SELECT first_seq, last_seq, {_KNOWN_ID}, newest_month_at(:institution, :account, last_seq) AS high_month,
        least(newest_month_at(:institution, :account, first_seq), ({_LATE_BETWEEN})) AS low_month
    FROM (SELECT CAST(:after AS bigint) + 1 AS first_seq, CAST(:after AS bigint) + :limit AS last_seq) AS asked
""")
# The same of a page of some days: in these days' months, and those that its numbers lie in.
_WITHIN_DAYS = text(f"""
    SELECT first_seq, last_seq, {_KNOWN_ID}, last_day AS high_month,
        greatest(first_day, least(newest_month_at(:institution, :account, first_seq), ({_LATE_BETWEEN}))) AS low_month
    FROM (
        SELECT greatest(min(first_seq), CAST(:after AS bigint) + 1) AS first_seq, max(last_seq) AS last_seq,
            min(booking_date) AS first_day, max(booking_date) AS last_day
        FROM account_day
        WHERE institution_id = :institution AND account_id = :account AND booking_date BETWEEN :from_ AND :to
    ) AS asked
""")


def _side(side: str) -> str:
    """The account's postings on one side that the page may need, in their order: as many as a page holds."""
    other = "credit" if side == "debit" else "debit"
    return f"""(
        SELECT t.*, t.{side}_seq AS seq, '{side.upper()}' AS side, t.{side}_balance_minor_units AS balance_minor_units,
            t.{other}_account_id AS counter_account_id
        FROM transfer t
        WHERE t.institution_id = :institution AND t.{side}_account_id = :account
            AND t.{side}_seq >= :first_seq AND t.{side}_seq <= :last_seq
            AND t.transfer_id >= :first_id AND t.transfer_id < :next_id
            AND t.booking_date BETWEEN :from_ AND :to AND t.batch_id <= :known_id
        ORDER BY t.{side}_seq LIMIT :limit)"""


# Each side gives at most a page: it costs the same wherever in history it lies.
_STATEMENT = text(f"""
    WITH page AS MATERIALIZED (
        SELECT * FROM ({_side("debit")} UNION ALL {_side("credit")}) AS posting ORDER BY seq LIMIT :limit
    )
    SELECT p.institution_id, p.seq, p.booking_date, b.posted_at, p.side, p.amount_minor_units, p.currency,
        CASE a.normal_side WHEN 'DEBIT' THEN p.balance_minor_units ELSE -p.balance_minor_units END AS balance_minor_units,
        p.counter_account_id, p.reason, p.source_kind, p.source_ref, p.transfer_id, p.batch_id, p.line, b.actor, b.rule_version
    FROM page p
    JOIN account a ON a.institution_id = p.institution_id AND a.account_id = :account
    JOIN posting_batch b ON b.institution_id = p.institution_id AND b.batch_id = p.batch_id
    ORDER BY p.seq
""")
