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
from uuid import UUID

from sqlalchemy import Connection, text

from ledger.accounts import find_account
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


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One transfer as it stands in the journal, with the batch that says who wrote it, when and by which rules."""

    institution_id: int
    batch_id: int
    line: int
    transfer_id: UUID
    booking_date: date
    posted_at: datetime
    debit_account_id: int
    debit_account: str
    credit_account_id: int
    credit_account: str
    amount: Money
    reason: str
    source_kind: str
    source_ref: str
    reverses: UUID | None
    actor: str
    rule_version: str


def balance(conn: Connection, account_id: int, as_of: date | None = None, known_at: datetime | None = None) -> Money:
    """The balance of an account on its normal side: now, through a business day, as known at an instant, or both.

    Raises LookupError for an unknown account.
    """
    account = find_account(conn, account_id)
    units = conn.execute(
        _BALANCE, {"institution": account.institution_id, "account": account_id, "as_of": as_of, "known_at": known_at}
    ).scalar_one()
    return Money(int(units) if account.normal_side is Side.DEBIT else -int(units), account.currency)


_BALANCE = text("""
    SELECT balance_at(:institution, :account, CAST(:as_of AS date),
        CASE WHEN CAST(:known_at AS timestamptz) IS NOT NULL THEN known_batch(:institution, :known_at) END)
""")


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


def journal(
    conn: Connection,
    *,
    institution_id: int | None = None,
    institution_ids: Collection[int] | None = None,
    custody_account_id: int | None = None,
    source_kind: str | None = None,
    source_ref: str | None = None,
    from_: date | None = None,
    to: date | None = None,
    known_at: datetime | None = None,
    after: tuple[int, int, int] | None = None,
    limit: int | None = 50,
) -> list[JournalLine]:
    """A page of the journal in posting order per institution; all filters are optional, ``limit`` None gives everything.

    ``after`` is (institution_id, batch_id, line) of the last line seen.
    """
    start = after or (0, 0, 0)
    rows = conn.execute(
        _JOURNAL,
        {
            "institution": institution_id,
            "institutions": None if institution_ids is None else list(institution_ids),
            "custody_account": custody_account_id,
            "source_kind": source_kind,
            "source_ref": source_ref,
            "from_": from_ or date.min,
            "to": to or date.max,
            "known_at": known_at,
            "after_institution": start[0],
            "after_batch": start[1],
            "after_line": start[2],
            "limit": limit,
        },
    )
    return [
        JournalLine(
            **{name: getattr(row, name) for name in _PLAIN_JOURNAL_FIELDS},
            debit_account=_code(row.debit_custody_account_id, row.debit_kind, row.debit_subject),
            credit_account=_code(row.credit_custody_account_id, row.credit_kind, row.credit_subject),
            amount=Money(row.amount_minor_units, row.currency),
        )
        for row in rows
    ]


_PLAIN_JOURNAL_FIELDS = (
    "institution_id",
    "batch_id",
    "line",
    "transfer_id",
    "booking_date",
    "posted_at",
    "debit_account_id",
    "credit_account_id",
    "reason",
    "source_kind",
    "source_ref",
    "reverses",
    "actor",
    "rule_version",
)


def _code(custody_account_id: int, kind: str, subject: str) -> str:
    return f"{custody_account_id}:{kind}:{subject}" if subject else f"{custody_account_id}:{kind}"


_JOURNAL = text("""
    SELECT t.institution_id, t.batch_id, t.line, t.transfer_id, t.booking_date, b.posted_at, t.debit_account_id,
        t.credit_account_id, t.amount_minor_units, t.currency, t.reason, t.source_kind, t.source_ref, t.reverses,
        b.actor, b.rule_version,
        d.custody_account_id AS debit_custody_account_id, d.kind AS debit_kind, d.subject AS debit_subject,
        c.custody_account_id AS credit_custody_account_id, c.kind AS credit_kind, c.subject AS credit_subject
    FROM transfer t
    JOIN posting_batch b ON b.institution_id = t.institution_id AND b.batch_id = t.batch_id
    JOIN account d ON d.institution_id = t.institution_id AND d.account_id = t.debit_account_id
    JOIN account c ON c.institution_id = t.institution_id AND c.account_id = t.credit_account_id
    WHERE (t.institution_id, t.batch_id, t.line) > (:after_institution, :after_batch, :after_line)
        AND (CAST(:institution AS integer) IS NULL OR t.institution_id = :institution)
        AND (CAST(:institutions AS integer[]) IS NULL OR t.institution_id = ANY (:institutions))
        AND (CAST(:custody_account AS bigint) IS NULL OR :custody_account IN (d.custody_account_id, c.custody_account_id))
        AND (CAST(:source_kind AS text) IS NULL OR t.source_kind = :source_kind)
        AND (CAST(:source_ref AS text) IS NULL OR t.source_ref = :source_ref)
        AND t.booking_date BETWEEN :from_ AND :to
        AND (CAST(:known_at AS timestamptz) IS NULL OR b.recorded_at <= :known_at)
    ORDER BY t.institution_id, t.batch_id, t.line
    LIMIT :limit
""")
