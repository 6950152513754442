"""Coverage of every custody account: is the money there, strictly and with what is proven to be on its way?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

from config.calendars import load_calendar
from config.matching import load_matching_rules
from escrow.store import custody_accounts
from money import Money
from reconciliation.coverage import Coverage, coverage_of
from reconciliation.model import CustodyAccountRef
from reconciliation.run_store import counts_after
from reports.report_table import Cell, Column, ColumnType, Fact, ReportTable


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One custody account's coverage on one business day; ``parts`` itemises requirement and resource in minor units.

    ``known``: a statement says what the bank held at the end of the day: one of the day itself, or a later one that opens
    with the balance before it. A day nobody works on carries the balance forward.
    """

    account_number: str
    bank_code: str
    account_name: str
    coverage: Coverage
    known: bool = True

    @property
    def parts(self) -> dict[str, int]:
        """Every figure by name, in minor units; those of the requirement come first."""
        one = self.coverage
        return {
            "held": one.held,
            "payable": one.payable,
            "disbursements_in_transit": one.disbursements_in_transit,
            "refunds_in_transit": one.refunds_in_transit,
            "unidentified": one.unidentified,
            "open_receipts": one.open_receipts,
            "open_payments": one.open_payments,
            "requirement": one.requirement,
            "bank_closing": one.bank_closing,
            "strict_surplus": one.strict_surplus,
            "proven_in_transit": one.proven_in_transit,
            "overdue_in_transit": one.overdue_in_transit,
            "surplus": one.surplus,
            "shortfall": one.shortfall,
        }


def custody_account_refs(conn: Connection) -> list[CustodyAccountRef]:
    """All filed custody accounts, by their number in our books."""
    return [
        CustodyAccountRef(
            institution_id=one.institution_id,
            custody_account_id=one.custody_account_id,
            bank_code=one.bank_code,
            account_number=one.account_number,
            currency=one.currency,
            opened_on=one.opened_on,
            account_name=one.account_name,
        )
        for one in sorted(custody_accounts(conn), key=lambda account: account.custody_account_id)
    ]


def coverage(
    conn: Connection,
    as_of: date,
    accounts: Iterable[CustodyAccountRef] | None = None,
    *,
    known_at: datetime | None = None,
) -> list[CoverageRow]:
    """Coverage of every custody account (or of ``accounts``) at the end of ``as_of``. Accounts are never added up.

    ``known_at``: as it was answered at that instant (``reconciliation.coverage.coverage_of``); accounts filed later are left out.
    """
    rules, calendar = load_matching_rules(), load_calendar()
    wanted = custody_account_refs(conn) if accounts is None else accounts
    later = set() if known_at is None else set(conn.scalars(text(_FILED_LATER), {"known_at": known_at}))
    found = []
    for ref in wanted:
        if ref.opened_on <= as_of and ref.custody_account_id not in later:
            one = coverage_of(conn, ref, as_of, rules, calendar, known_at=known_at)
            known = one.closing_date is not None and (
                one.closing_date == as_of
                or counts_after(conn, ref, as_of, known_at=known_at)
                or not calendar.is_working_day(as_of)
            )
            found.append(CoverageRow(ref.account_number, ref.bank_code, ref.account_name, one, known))
    return found


_FILED_LATER = "SELECT custody_account_id FROM custody_account WHERE recorded_at > :known_at"

_TITLES = {
    "held": ("prepayments held", "预收费托管余额"),
    "payable": ("payable to institution", "应付机构款"),
    "disbursements_in_transit": ("disbursements in transit", "在途拨付"),
    "refunds_in_transit": ("refunds in transit", "在途退费"),
    "unidentified": ("unidentified receipts", "不明收款"),
    "open_receipts": ("open bank lines in", "未匹配收款流水"),
    "open_payments": ("open bank lines out", "未匹配付款流水"),
    "requirement": ("must be there", "应有资金"),
    "bank_closing": ("bank balance", "银行余额"),
    "strict_surplus": ("strict surplus", "严格口径盈余"),
    "proven_in_transit": ("proven in transit", "已证实在途"),
    "overdue_in_transit": ("overdue in transit", "逾期在途"),
    "surplus": ("surplus", "盈余"),
    "shortfall": ("shortfall", "缺口"),
}


def coverage_table(rows: Iterable[CoverageRow], as_of: date, facts: tuple[Fact, ...] = ()) -> ReportTable:
    """Coverage as a report: every figure of every account. Accounts are never added up, so there are no totals."""
    columns = (
        Column("account", "account", "账号"),
        Column("bank", "bank", "银行"),
        Column("account_name", "account name", "户名"),
        Column("as_of", "as of", "日期", ColumnType.DATE),
        Column("closing_date", "statement of", "对账单日", ColumnType.DATE),
        *(Column(name, en, zh, ColumnType.MONEY) for name, (en, zh) in _TITLES.items()),
        Column("currency", "currency", "币种"),
        Column("state", "state", "状态"),
    )
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        one, parts = row.coverage, row.parts
        state = "no statement" if not row.known else "covered" if one.covered else "short"
        figures = (Money(parts[name], one.currency) for name in _TITLES)
        cells.append(
            (row.account_number, row.bank_code, row.account_name, as_of, one.closing_date, *figures, one.currency, state)
        )
    return ReportTable("coverage", "Coverage", "资金覆盖", columns, cells, facts)
