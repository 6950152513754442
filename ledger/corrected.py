"""A closed month twice: as it was first reported, and as corrected by what was booked later about it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Literal

from sqlalchemy import Connection, text

from ledger.period import PeriodRefused, month_end
from ledger.reading import TrialBalanceRow, trial_balance_over
from money import Money
from wording import Said


@dataclass(frozen=True, slots=True)
class CorrectedRow:
    """One account (or kind) at a month's end: first reported and as corrected, on its normal side."""

    row: TrialBalanceRow
    first_reported: Money
    as_corrected: Money

    @property
    def difference(self) -> Money:
        """What corrections changed."""
        return self.as_corrected - self.first_reported


def as_first_reported(
    conn: Connection,
    month: date,
    *,
    institution_ids: Collection[int] | None = None,
    by: Literal["account", "kind"] = "account",
) -> list[TrialBalanceRow]:
    """The trial balance at the month's end that the month was first closed with, of the institutions that closed it.

    Raises PeriodRefused when one of the institutions asked for (or, when none is named, every one) has not closed it.
    """
    first = month.replace(day=1)
    closed = set(conn.execute(_FIRST_CLOSED, {"month": first}).scalars())
    missing = set(institution_ids or ()) - closed
    if not closed or missing:
        who = f" at institution {min(missing)}" if missing else ""
        command = f"escrow ledger close-period {first:%Y-%m}"
        raise PeriodRefused(
            Said(f"{first:%Y-%m} has never been closed{who}; close it: {command}", f"{first:%Y-%m} 从未结账；请先结账：{command}")
        )
    return trial_balance_over(conn, _FIRST_REPORTED, {"month": first}, institution_ids=institution_ids, by=by)


def as_corrected(
    conn: Connection,
    as_of: date,
    *,
    institution_ids: Collection[int] | None = None,
    by: Literal["account", "kind"] = "account",
) -> list[TrialBalanceRow]:
    """The trial balance through a business day with what was booked later but reverses or corrects something booked by then.

    Links are followed to their end: the reversal of a late correction counts as well.
    """
    return trial_balance_over(conn, _AS_CORRECTED, {"as_of": as_of}, institution_ids=institution_ids, by=by)


def compare_period(
    conn: Connection, month: date, *, institution_ids: Collection[int] | None = None, by: Literal["account", "kind"] = "account"
) -> list[CorrectedRow]:
    """Every account (or kind) of the institutions that closed the month, first reported beside as corrected."""
    reported = as_first_reported(conn, month, institution_ids=institution_ids, by=by)
    closed = set(conn.execute(_FIRST_CLOSED, {"month": month.replace(day=1)}).scalars())
    wanted = closed if institution_ids is None else closed & set(institution_ids)
    corrected = as_corrected(conn, month_end(month), institution_ids=wanted, by=by)
    before = {_key(row): row for row in reported}
    after = {_key(row): row for row in corrected}
    found = []
    for key in sorted({*before, *after}):
        row = after.get(key) or before[key]
        zero = Money(0, row.debit.currency)
        found.append(
            CorrectedRow(row, before[key].balance if key in before else zero, after[key].balance if key in after else zero)
        )
    return found


def _key(row: TrialBalanceRow) -> tuple[int, str, str, str]:
    return (row.account_id or 0, row.kind, row.subject, row.debit.currency)


_FIRST_CLOSED = text("SELECT institution_id FROM period_event WHERE month = :month AND event_no = 1 AND event = 'closed'")

_FIRST_REPORTED = """
    SELECT institution_id, account_id, balance_minor_units AS units FROM period_balance WHERE month = :month AND event_no = 1
"""

_AS_CORRECTED = """
    WITH RECURSIVE link AS (
        SELECT institution_id, transfer_id, reverses AS about FROM transfer WHERE reverses IS NOT NULL
        UNION ALL
        SELECT institution_id, transfer_id, corrects FROM correction
    ), late AS (
        SELECT l.institution_id, l.transfer_id, l.about FROM link l
        JOIN transfer t ON t.institution_id = l.institution_id AND t.transfer_id = l.transfer_id AND t.booking_date > :as_of
    ), chain AS (
        SELECT institution_id, transfer_id, about FROM late
        UNION
        SELECT c.institution_id, c.transfer_id, l.about FROM chain c
        JOIN late l ON l.institution_id = c.institution_id AND l.transfer_id = c.about
    ), belated AS (
        SELECT DISTINCT c.institution_id, c.transfer_id FROM chain c
        JOIN transfer o ON o.institution_id = c.institution_id AND o.transfer_id = c.about AND o.booking_date <= :as_of
    )
    SELECT institution_id, account_id, sum(units) AS units FROM (
        SELECT institution_id, account_id, units FROM balances_as_of(:as_of)
        UNION ALL
        SELECT t.institution_id, leg.account_id, leg.units
        FROM belated b JOIN transfer t ON t.institution_id = b.institution_id AND t.transfer_id = b.transfer_id
        CROSS JOIN LATERAL (VALUES (t.debit_account_id, t.amount_minor_units), (t.credit_account_id, -t.amount_minor_units))
            AS leg(account_id, units)
    ) AS part
    GROUP BY institution_id, account_id
"""
