"""An account's statement for people: its postings page by page, each leading to its source, batch and actor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection

from ledger.accounts import find_account
from ledger.model import Account
from ledger.reading import AccountStatementLine, account_statement, balance
from money import Money


@dataclass(frozen=True, slots=True)
class AccountStatement:
    """One page. ``opening`` and ``closing`` are the balances before ``from_`` and through ``to``, by booking date; the lines'
    own balances run in posting order, so a back-dated posting stands where it was posted. ``next_after`` asks for the next
    page, None when this is the last.
    """

    account: Account
    from_: date | None
    to: date | None
    opening: Money
    closing: Money
    lines: tuple[AccountStatementLine, ...]
    next_after: int | None

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints: amounts as decimal strings."""
        return {
            "account_id": self.account.account_id,
            "account": self.account.code,
            "normal_side": str(self.account.normal_side),
            "currency": self.account.currency,
            "from": self.from_ and self.from_.isoformat(),
            "to": self.to and self.to.isoformat(),
            "opening_balance": self.opening.plain,
            "closing_balance": self.closing.plain,
            "lines": [
                {
                    "seq": line.seq,
                    "booking_date": line.booking_date.isoformat(),
                    "posted_at": line.posted_at.isoformat(),
                    "side": str(line.side),
                    "amount": line.amount.plain,
                    "balance": line.balance.plain,
                    "counter_account_id": line.counter_account_id,
                    "reason": line.reason,
                    "source_kind": line.source_kind,
                    "source_ref": line.source_ref,
                    "transfer_id": str(line.transfer_id),
                    "batch_id": line.batch_id,
                    "line": line.line,
                    "actor": line.actor,
                    "rule_version": line.rule_version,
                }
                for line in self.lines
            ],
            "next_after": self.next_after,
        }


def account_statement_report(
    conn: Connection,
    account_id: int,
    *,
    from_: date | None = None,
    to: date | None = None,
    after: int | None = None,
    limit: int = 50,
) -> AccountStatement:
    """A page of an account's statement. Raises LookupError for an unknown account."""
    account = find_account(conn, account_id)
    lines = account_statement(conn, account_id, from_, to, after, limit + 1)
    zero = Money.zero(account.currency)
    return AccountStatement(
        account=account,
        from_=from_,
        to=to,
        opening=zero if from_ is None else balance(conn, account_id, as_of=from_ - timedelta(days=1)),
        closing=balance(conn, account_id, as_of=to),
        lines=tuple(lines[:limit]),
        next_after=lines[limit - 1].seq if len(lines) > limit else None,
    )
