"""The trial balance: every account's (or kind's) balance in two columns whose totals are equal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection

from ledger.chart import Chart, UnknownKind
from ledger.reading import TrialBalanceRow, trial_balance
from money import Money

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """Rows in chart order, and the totals of both columns by currency. ``as_of`` and ``known_at`` as asked for."""

    as_of: date | None
    known_at: datetime | None
    rows: tuple[TrialBalanceRow, ...]
    totals: tuple[tuple[Money, Money], ...]

    @property
    def balances(self) -> bool:
        """Whether debits equal credits in every currency."""
        return all(debit == credit for debit, credit in self.totals)

    def as_json(self, chart: Chart) -> dict[str, Any]:
        """What ``--json`` prints: amounts as decimal strings."""
        return {
            "as_of": self.as_of and self.as_of.isoformat(),
            "known_at": self.known_at and self.known_at.isoformat(),
            "rows": [
                {
                    "custody_account_id": row.custody_account_id,
                    "account_id": row.account_id,
                    "kind": row.kind,
                    "subject": row.subject,
                    "name_en": kind_name(chart, row.kind, "en"),
                    "name_zh": kind_name(chart, row.kind, "zh"),
                    "accounts": row.accounts,
                    "currency": row.debit.currency,
                    "debit": row.debit.plain,
                    "credit": row.credit.plain,
                }
                for row in self.rows
            ],
            "totals": [
                {"currency": debit.currency, "debit": debit.plain, "credit": credit.plain, "equal": debit == credit}
                for debit, credit in self.totals
            ],
        }


def trial_balance_report(
    conn: Connection,
    chart: Chart,
    *,
    as_of: date | None = None,
    known_at: datetime | None = None,
    custody_account_id: int | None = None,
    by: Literal["account", "kind"] = "kind",
) -> TrialBalance:
    """The trial balance now, as of a business day, or as known at an instant; of all books or one custody account's.

    By account, accounts whose balance is zero are left out of the rows.
    """
    rows = trial_balance(conn, as_of=as_of, known_at=known_at, custody_account_id=custody_account_id, by=by)
    rows.sort(key=lambda row: (row.custody_account_id or 0, chart.position(row.kind), row.kind, row.subject, row.account_id or 0))
    totals: dict[str, tuple[Money, Money]] = {}
    for row in rows:
        debit, credit = totals.get(row.debit.currency, (Money.zero(row.debit.currency),) * 2)
        totals[row.debit.currency] = (debit + row.debit, credit + row.credit)
    shown = tuple(row for row in rows if by == "kind" or row.debit or row.credit)
    return TrialBalance(as_of, known_at, shown, tuple(totals[currency] for currency in sorted(totals)))


def kind_name(chart: Chart, kind: str, language: Language) -> str:
    """The name of an account kind for people; the kind itself when the chart no longer has it."""
    try:
        found = chart.kind(kind)
    except UnknownKind:
        return kind
    return found.name_zh if language == "zh" else found.name_en
