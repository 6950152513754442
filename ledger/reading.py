"""Reading the books: now, as of a business day, and as they were known at an instant.

*Now* reads the running balances. *As of* a day reads what was booked through it. *As known at* an instant counts only the
batches the database had recorded by then (``recorded_at`` of the header, never the caller's ``posted_at``), whatever day they
are booked on. No cost grows with the length of history: one account is found by its posting numbers (SQL functions
``balance_at``, ``balances_as_of``), all accounts are counted from the nearest kept balances (``keep_balances``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from ledger.accounts import unknown_account
from ledger.model import Side
from money import Money


@dataclass(frozen=True, slots=True)
class TrialBalanceRow:
    """One account (or, by kind, all accounts of a kind and currency). ``debit`` or ``credit`` holds the balance, the other is 0.

    By kind, ``account_id`` is None and ``subject`` empty; ``custody_account_id`` and ``institution_id`` are None unless one
    custody account was asked for. ``accounts`` is how many accounts the row sums.
    """

    institution_id: int | None
    custody_account_id: int | None
    account_id: int | None
    kind: str
    subject: str
    normal_side: Side
    accounts: int
    debit: Money
    credit: Money

    @property
    def balance(self) -> Money:
        """The balance on the normal side."""
        return self.debit - self.credit if self.normal_side is Side.DEBIT else self.credit - self.debit


def balance(conn: Connection, account_id: int, as_of: date | None = None, known_at: datetime | None = None) -> Money:
    """The balance of an account on its normal side: now, through a business day, as known at an instant, or both.

    Raises LookupError for an unknown account.
    """
    if as_of is None and known_at is None:
        found = conn.exec_driver_sql(_BALANCE_NOW, (account_id,)).one_or_none()
    else:
        found = conn.exec_driver_sql(_BALANCE_THEN, (as_of, known_at, known_at, account_id)).one_or_none()
    if found is None:
        raise unknown_account(account_id)
    normal_side, currency, units = found
    return Money(units if normal_side == Side.DEBIT else -units, currency)


# One round trip of a constant statement, which the server plans once a session.
_BALANCE_NOW = """
    SELECT a.normal_side, a.currency, b.balance_minor_units FROM account a
    JOIN account_balance b ON b.institution_id = a.institution_id AND b.account_id = a.account_id
    WHERE a.account_id = %s
"""
_BALANCE_THEN = """
    SELECT normal_side, currency, balance_at(institution_id, account_id, %s::date,
        CASE WHEN %s::timestamptz IS NOT NULL THEN known_batch(institution_id, %s) END)
    FROM account WHERE account_id = %s
"""


def trial_balance(
    conn: Connection,
    *,
    as_of: date | None = None,
    known_at: datetime | None = None,
    custody_account_id: int | None = None,
    institution_ids: Collection[int] | None = None,
    by: Literal["account", "kind"] = "account",
) -> list[TrialBalanceRow]:
    """Every account's balance (or every kind's), by custody account, kind, subject and currency.

    ``institution_ids``: only these institutions' accounts (whom the asking person supervises); None for all.

    Debits equal credits in each currency. Accounts that were never posted to are left out; those whose balance came back
    to zero are not, except when both times are given.
    """
    if known_at is not None:
        balances = _BALANCES_KNOWN_AT if as_of is None else _BALANCES_AS_OF_KNOWN_AT
    elif as_of is not None:
        balances = _BALANCES_AS_OF
    else:
        balances = _BALANCES_NOW
    return trial_balance_over(
        conn,
        balances,
        {"as_of": as_of, "known_at": known_at},
        custody_account_id=custody_account_id,
        institution_ids=institution_ids,
        by=by,
    )


def trial_balance_over(
    conn: Connection,
    balances: str,
    values: Mapping[str, object],
    *,
    custody_account_id: int | None = None,
    institution_ids: Collection[int] | None = None,
    by: Literal["account", "kind"] = "account",
) -> list[TrialBalanceRow]:
    """A trial balance over what the query ``balances`` selects: institution_id, account_id, units (debits minus credits)."""
    query = _BY_ACCOUNT if by == "account" else _BY_KIND
    rows = conn.execute(
        text(query.replace("{balances}", balances)),
        {
            **values,
            "custody_account": custody_account_id,
            "institutions": None if institution_ids is None else list(institution_ids),
        },
    )
    return [_trial_balance_row(row) for row in rows]


def _trial_balance_row(row: Any) -> TrialBalanceRow:
    units = int(row.units)
    return TrialBalanceRow(
        institution_id=row.institution_id,
        custody_account_id=row.custody_account_id,
        account_id=row.account_id,
        kind=row.kind,
        subject=row.subject,
        normal_side=Side(row.normal_side),
        accounts=row.accounts,
        debit=Money(max(units, 0), row.currency),
        credit=Money(max(-units, 0), row.currency),
    )


_BALANCES_NOW = """
    SELECT institution_id, account_id, balance_minor_units AS units FROM account_balance WHERE last_seq > 0
"""
_BALANCES_AS_OF = "SELECT institution_id, account_id, units FROM balances_as_of(:as_of)"

# Counted from the nearest kept balances (none at batch 0, a snapshot, or now), forwards or backwards.
_BALANCES_KNOWN_AT = """
    WITH known AS MATERIALIZED (
        SELECT h.institution_id, h.last_batch_id, k.batch_id,
            (SELECT s.batch_id FROM (
                SELECT 0 AS batch_id UNION ALL SELECT h.last_batch_id UNION ALL
                SELECT t.batch_id FROM balance_snapshot_taken t WHERE t.institution_id = h.institution_id) AS s
            ORDER BY abs(s.batch_id - k.batch_id), s.batch_id LIMIT 1) AS start_id
        FROM journal_head h CROSS JOIN LATERAL (SELECT known_batch(h.institution_id, :known_at) AS batch_id) AS k
    )
    SELECT institution_id, account_id, sum(units) AS units FROM (
        SELECT b.institution_id, b.account_id, b.balance_minor_units AS units, b.last_seq AS postings FROM known k
        JOIN account_balance b ON b.institution_id = k.institution_id
        WHERE k.start_id = k.last_batch_id AND k.start_id > 0 AND b.last_seq > 0
        UNION ALL
        SELECT s.institution_id, s.account_id, s.balance_minor_units, s.last_seq FROM known k
        JOIN balance_snapshot s ON s.institution_id = k.institution_id AND s.batch_id = k.start_id
        WHERE k.start_id < k.last_batch_id
        UNION ALL
        SELECT t.institution_id, leg.account_id, leg.units * way.sign, way.sign
        FROM known k CROSS JOIN LATERAL (SELECT CASE WHEN k.start_id > k.batch_id THEN -1 ELSE 1 END AS sign) AS way
        JOIN transfer t ON t.institution_id = k.institution_id
            AND t.batch_id > least(k.start_id, k.batch_id) AND t.batch_id <= greatest(k.start_id, k.batch_id)
        CROSS JOIN LATERAL (VALUES (t.debit_account_id, t.amount_minor_units), (t.credit_account_id, -t.amount_minor_units))
            AS leg(account_id, units)
    ) AS part
    GROUP BY institution_id, account_id HAVING sum(postings) > 0
"""

# What was booked through the day, without what was recorded since: as cheap as that is little.
_BALANCES_AS_OF_KNOWN_AT = """
    WITH known AS MATERIALIZED (
        SELECT h.institution_id, known_batch(h.institution_id, :known_at) AS batch_id FROM journal_head h
    )
    SELECT institution_id, account_id, sum(units) AS units FROM (
        SELECT institution_id, account_id, units FROM balances_as_of(:as_of)
        UNION ALL
        SELECT t.institution_id, leg.account_id, leg.units
        FROM known k JOIN transfer t ON t.institution_id = k.institution_id AND t.batch_id > k.batch_id
        CROSS JOIN LATERAL (VALUES (t.debit_account_id, -t.amount_minor_units), (t.credit_account_id, t.amount_minor_units))
            AS leg(account_id, units)
        WHERE t.booking_date <= :as_of
    ) AS part
    GROUP BY institution_id, account_id HAVING sum(units) <> 0
"""
_BY_ACCOUNT = """
    SELECT a.institution_id, a.custody_account_id, a.account_id, a.kind, a.subject, a.normal_side, a.currency,
        1 AS accounts, s.units
    FROM ({balances}) AS s JOIN account a ON a.institution_id = s.institution_id AND a.account_id = s.account_id
    WHERE (CAST(:custody_account AS bigint) IS NULL OR a.custody_account_id = :custody_account)
        AND (CAST(:institutions AS integer[]) IS NULL OR a.institution_id = ANY (:institutions))
    ORDER BY a.custody_account_id, a.kind, a.subject, a.account_id
"""
_BY_KIND = """
    SELECT CASE WHEN CAST(:custody_account AS bigint) IS NULL THEN NULL ELSE min(a.institution_id) END AS institution_id,
        CAST(:custody_account AS bigint) AS custody_account_id, NULL AS account_id, a.kind, '' AS subject, a.normal_side,
        a.currency, count(*) AS accounts, sum(s.units) AS units
    FROM ({balances}) AS s JOIN account a ON a.institution_id = s.institution_id AND a.account_id = s.account_id
    WHERE (CAST(:custody_account AS bigint) IS NULL OR a.custody_account_id = :custody_account)
        AND (CAST(:institutions AS integer[]) IS NULL OR a.institution_id = ANY (:institutions))
    GROUP BY a.kind, a.normal_side, a.currency ORDER BY a.kind, a.currency
"""
