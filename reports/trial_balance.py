"""The trial balance: every account's (or kind's) balance in two columns whose totals are equal."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection

from ledger.chart import Chart, UnknownKind
from ledger.reading import TrialBalanceRow, trial_balance
from money import Money
from reports.report_table import Column, ColumnType, Fact, Language, ReportTable


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
    institution_ids: Collection[int] | None = None,
    by: Literal["account", "kind"] = "kind",
) -> TrialBalance:
    """The trial balance now, as of a business day, or as known at an instant; of all books, one custody account's, or
    those of some institutions.

    By account, accounts whose balance is zero are left out of the rows.
    """
    rows = trial_balance(
        conn, as_of=as_of, known_at=known_at, custody_account_id=custody_account_id, institution_ids=institution_ids, by=by
    )
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


_COLUMNS = (
    Column("custody_account_id", "custody account", "托管账户", ColumnType.INTEGER),
    Column("account_id", "number", "科目号", ColumnType.INTEGER),
    Column("kind", "kind", "科目类别", on_screen=False),
    Column("name", "account", "科目"),
    Column("subject", "subject", "明细"),
    Column("accounts", "accounts", "户数", ColumnType.INTEGER),
    Column("debit", "debit", "借方余额", ColumnType.MONEY),
    Column("credit", "credit", "贷方余额", ColumnType.MONEY),
    Column("currency", "currency", "币种"),
)
#: What says nothing in the other kind of trial balance.
_ONLY_BY_ACCOUNT = {"custody_account_id", "account_id", "subject"}


def trial_balance_table(report: TrialBalance, chart: Chart, language: Language, facts: tuple[Fact, ...] = ()) -> ReportTable:
    """The trial balance as a report; by account, ``escrow ledger account NUMBER`` opens each row's postings."""
    by_account = any(row.account_id is not None for row in report.rows)
    columns = tuple(
        replace(
            column,
            on_screen=column.on_screen and (column.key != "accounts" if by_account else column.key not in _ONLY_BY_ACCOUNT),
        )
        for column in _COLUMNS
    )
    rows = tuple(
        (
            row.custody_account_id, row.account_id, row.kind, kind_name(chart, row.kind, language), row.subject, row.accounts,
            row.debit, row.credit, row.debit.currency,
        )
        for row in report.rows
    )  # fmt: skip
    total = "合计" if language == "zh" else "total"
    totals = tuple((None, None, None, total, None, None, debit, credit, debit.currency) for debit, credit in report.totals)
    return ReportTable("trial_balance", "Trial balance", "试算平衡表", columns, rows, facts, totals)
