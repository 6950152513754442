"""The general ledger: for each account and period its opening balance, its movements and its closing balance."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from ledger.chart import Chart
from ledger.model import Side
from money import Money
from reports.report_table import Column, ColumnType, Fact, Language, ReportTable
from reports.trial_balance import kind_name

Period = Literal["day", "month", "quarter", "year", "whole"]
#: For PostgreSQL: the unit a period is a truncation to, and its length.
_UNITS: dict[Period, tuple[str, str]] = {
    "day": ("day", "1 day"),
    "month": ("month", "1 month"),
    "quarter": ("quarter", "3 months"),
    "year": ("year", "1 year"),
    "whole": ("day", "1 day"),
}


@dataclass(frozen=True, slots=True)
class GeneralLedgerLine:
    """One account in one period, by booking date. ``opening + debits - credits = closing`` on the debit side; ``opening`` and
    ``closing`` are on the account's normal side. A period in which nothing was booked has no line, except that an account
    which holds a balance and did not move at all has one for the whole range.
    """

    institution_id: int
    custody_account_id: int
    account_id: int
    kind: str
    subject: str
    normal_side: Side
    first: date
    last: date
    opening: Money
    debits: Money
    credits: Money
    closing: Money


def general_ledger(
    conn: Connection,
    *,
    from_: date | None = None,
    to: date | None = None,
    known_at: datetime | None = None,
    period: Period = "month",
    custody_account_id: int | None = None,
    institution_ids: Collection[int] | None = None,
    kind: str | None = None,
) -> Iterator[GeneralLedgerLine]:
    """Lines by custody account, kind, subject and period, streamed.

    Without ``known_at`` from the day sums, so its cost does not grow with the number of postings; with it from the postings
    of the batches posted by then. ``from_`` and ``to`` are booking dates, both included.
    """
    movements = _MOVEMENTS if known_at is None else _MOVEMENTS_KNOWN_AT
    question = text(_LINES.replace("{movements}", movements)).execution_options(stream_results=True, max_row_buffer=5000)
    asked = {
        "from_": from_,
        "to": to,
        "known_at": known_at,
        "whole": period == "whole",
        "unit": _UNITS[period][0],
        "length": _UNITS[period][1],
        "custody_account": custody_account_id,
        "institutions": None if institution_ids is None else list(institution_ids),
        "kind": kind,
    }
    with conn.execute(question, asked) as rows:
        for row in rows:
            yield _line(row)


def _line(row: Any) -> GeneralLedgerLine:
    side = Side(row.normal_side)
    sign = 1 if side is Side.DEBIT else -1
    closing = int(row.closing)
    debits, credits_ = int(row.debits), int(row.credits)
    return GeneralLedgerLine(
        institution_id=row.institution_id,
        custody_account_id=row.custody_account_id,
        account_id=row.account_id,
        kind=row.kind,
        subject=row.subject,
        normal_side=side,
        first=row.first,
        last=row.last,
        opening=Money(sign * (closing - debits + credits_), row.currency),
        debits=Money(debits, row.currency),
        credits=Money(credits_, row.currency),
        closing=Money(sign * closing, row.currency),
    )


_MOVEMENTS = """
    SELECT d.institution_id, d.account_id, d.booking_date, d.debits_minor_units AS debits, d.credits_minor_units AS credits
    FROM account_day d
"""
_MOVEMENTS_KNOWN_AT = """
    SELECT p.institution_id, p.account_id, p.booking_date,
        CASE p.side WHEN 'DEBIT' THEN p.amount_minor_units ELSE 0 END AS debits,
        CASE p.side WHEN 'CREDIT' THEN p.amount_minor_units ELSE 0 END AS credits
    FROM posting p JOIN posting_batch b ON b.institution_id = p.institution_id AND b.batch_id = p.batch_id
    WHERE b.recorded_at <= :known_at
"""
#: ``first`` is null in the row that carries everything before ``from_``.
_LINES = """
    WITH moved AS (
        SELECT m.institution_id, m.account_id,
            CASE WHEN m.booking_date < :from_ THEN NULL
                WHEN :whole THEN coalesce(CAST(:from_ AS date), DATE '0001-01-01')
                ELSE greatest(date_trunc(:unit, m.booking_date::timestamp)::date, CAST(:from_ AS date)) END AS first,
            sum(m.debits) AS debits, sum(m.credits) AS credits,
            min(m.booking_date) AS earliest, max(m.booking_date) AS latest
        FROM ({movements}) AS m
        WHERE (CAST(:to AS date) IS NULL OR m.booking_date <= :to)
            AND (CAST(:institutions AS integer[]) IS NULL OR m.institution_id = ANY (:institutions))
        GROUP BY 1, 2, 3
    ), summed AS (
        SELECT moved.*, sum(debits - credits) OVER account AS closing, count(first) OVER all_of_account AS periods
        FROM moved
        WINDOW account AS (PARTITION BY institution_id, account_id ORDER BY first NULLS FIRST),
            all_of_account AS (PARTITION BY institution_id, account_id)
    )
    SELECT s.institution_id, a.custody_account_id, s.account_id, a.kind, a.subject, a.normal_side, a.currency,
        coalesce(CASE WHEN :whole AND CAST(:from_ AS date) IS NULL THEN s.earliest ELSE s.first END, :from_) AS first,
        CASE WHEN s.first IS NULL OR :whole THEN coalesce(CAST(:to AS date), greatest(s.latest, CAST(:from_ AS date)))
            ELSE least((date_trunc(:unit, s.first::timestamp) + CAST(:length AS interval))::date - 1, CAST(:to AS date))
            END AS last,
        CASE WHEN s.first IS NULL THEN 0 ELSE s.debits END AS debits,
        CASE WHEN s.first IS NULL THEN 0 ELSE s.credits END AS credits, s.closing
    FROM summed s JOIN account a ON a.institution_id = s.institution_id AND a.account_id = s.account_id
    WHERE (s.first IS NOT NULL OR (s.periods = 0 AND s.closing <> 0))
        AND (CAST(:custody_account AS bigint) IS NULL OR a.custody_account_id = :custody_account)
        AND (CAST(:kind AS text) IS NULL OR a.kind = :kind)
    ORDER BY a.custody_account_id, a.kind, a.subject, s.account_id, s.first NULLS FIRST
"""

COLUMNS = (
    Column("custody_account_id", "custody account", "托管账户", ColumnType.INTEGER, on_screen=False),
    Column("account_id", "number", "科目号", ColumnType.INTEGER),
    Column("account", "account", "科目"),
    Column("name", "name", "名称", on_screen=False),
    Column("first", "from", "自", ColumnType.DATE),
    Column("last", "to", "至", ColumnType.DATE),
    Column("opening", "opening", "期初余额", ColumnType.MONEY),
    Column("debits", "debits", "借方发生额", ColumnType.MONEY),
    Column("credits", "credits", "贷方发生额", ColumnType.MONEY),
    Column("closing", "closing", "期末余额", ColumnType.MONEY),
    Column("currency", "currency", "币种", on_screen=False),
)


def general_ledger_table(
    lines: Iterator[GeneralLedgerLine], chart: Chart, language: Language, facts: tuple[Fact, ...] = ()
) -> ReportTable:
    """The general ledger as a report. ``escrow ledger account NUMBER --from --to`` lists the postings behind a line."""
    rows = (
        (
            line.custody_account_id, line.account_id,
            f"{line.custody_account_id}:{line.kind}" + (f":{line.subject}" if line.subject else ""),
            kind_name(chart, line.kind, language), line.first, line.last, line.opening, line.debits, line.credits, line.closing,
            line.closing.currency,
        )
        for line in lines
    )  # fmt: skip
    return ReportTable("general_ledger", "General ledger", "总分类账", COLUMNS, rows, facts)
