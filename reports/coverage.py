"""Coverage of every custody account: is the money there, strictly and with what is proven to be on its way?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from config.calendars import load_calendar
from config.matching import load_matching_rules
from escrow.store import custody_accounts
from reconciliation.coverage import Coverage, coverage_of
from reconciliation.model import CustodyAccountRef
from reconciliation.run_store import counts_after


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


def coverage(conn: Connection, as_of: date, accounts: Iterable[CustodyAccountRef] | None = None) -> list[CoverageRow]:
    """Coverage of every custody account (or of ``accounts``) at the end of ``as_of``. Accounts are never added up."""
    rules, calendar = load_matching_rules(), load_calendar()
    wanted = custody_account_refs(conn) if accounts is None else accounts
    found = []
    for ref in wanted:
        if ref.opened_on <= as_of:
            one = coverage_of(conn, ref, as_of, rules, calendar)
            known = one.closing_date is not None and (
                one.closing_date == as_of or counts_after(conn, ref, as_of) or not calendar.is_working_day(as_of)
            )
            found.append(CoverageRow(ref.account_number, ref.bank_code, ref.account_name, one, known))
    return found
