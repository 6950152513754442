"""An account's statement for people: its postings page by page, each leading to its source, batch and actor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from ledger.accounts import find_account
from ledger.model import Account, Side
from ledger.reading import balance
from ledger.statement import AccountStatementLine, account_statement
from money import Money
from reports.report_table import Column, ColumnType, Fact, ReportTable


@dataclass(frozen=True, slots=True)
class AccountStatement:
    """One page. ``opening`` and ``closing`` are the balances before ``from_`` and through ``to``, by booking date; the lines'
    own balances run in posting order, so a back-dated posting stands where it was posted. ``next_after`` asks for the next
    page, None when this is the last. ``codes``: the codes of the other accounts of the lines, by number.
    """

    account: Account
    from_: date | None
    to: date | None
    opening: Money
    closing: Money
    lines: tuple[AccountStatementLine, ...]
    next_after: int | None
    known_at: datetime | None = None
    codes: dict[int, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints: amounts as decimal strings."""
        return {
            "account_id": self.account.account_id,
            "account": self.account.code,
            "normal_side": str(self.account.normal_side),
            "currency": self.account.currency,
            "from": self.from_ and self.from_.isoformat(),
            "to": self.to and self.to.isoformat(),
            "known_at": self.known_at and self.known_at.isoformat(),
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
                    "counter_account": self.codes.get(line.counter_account_id),
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
    known_at: datetime | None = None,
) -> AccountStatement:
    """A page of an account's statement, as known at an instant if given. Raises LookupError for an unknown account."""
    account = find_account(conn, account_id)
    lines = account_statement(conn, account_id, from_, to, after, limit + 1, known_at=known_at)
    zero = Money.zero(account.currency)
    return AccountStatement(
        account=account,
        from_=from_,
        to=to,
        opening=zero if from_ is None else balance(conn, account_id, from_ - timedelta(days=1), known_at),
        closing=balance(conn, account_id, to, known_at),
        lines=tuple(lines[:limit]),
        next_after=lines[limit - 1].seq if len(lines) > limit else None,
        known_at=known_at,
        codes=_codes(conn, account, lines),
    )


#: Postings of a whole statement read at once.
_PAGE = 20_000

_COLUMNS = (
    Column("seq", "no.", "序号", ColumnType.INTEGER),
    Column("booking_date", "booked", "记账日", ColumnType.DATE),
    Column("posted_at", "posted", "录入时刻", ColumnType.INSTANT, on_screen=False),
    Column("event", "event", "事项"),
    Column("reason", "reason", "事由", on_screen=False),
    Column("source_kind", "source kind", "来源类别", on_screen=False),
    Column("source_ref", "source", "来源编号", on_screen=False),
    Column("counter_account", "other account", "对方科目"),
    Column("debit", "debit", "借方", ColumnType.MONEY),
    Column("credit", "credit", "贷方", ColumnType.MONEY),
    Column("balance", "balance", "余额", ColumnType.MONEY),
    Column("currency", "currency", "币种", on_screen=False),
    Column("transfer_id", "transfer", "转账编号", on_screen=False),
    Column("at", "at", "凭证号"),
    Column("actor", "actor", "经办", on_screen=False),
    Column("rule_version", "rules", "规则版本", on_screen=False),
)


def whole_statement(conn: Connection, report: AccountStatement) -> Iterator[AccountStatementLine]:
    """All postings of the statement's account and period from its first page on, page by page; ``report.codes`` learns the
    codes of each page's other accounts before its lines come.
    """
    page: list[AccountStatementLine] = list(report.lines)
    yield from page
    while page and report.next_after is not None:
        page = account_statement(
            conn, report.account.account_id, report.from_, report.to, page[-1].seq, _PAGE, known_at=report.known_at
        )
        report.codes.update(_codes(conn, report.account, page))
        yield from page


def _codes(conn: Connection, account: Account, lines: Sequence[AccountStatementLine]) -> dict[int, str]:
    """The codes of the lines' other accounts: of those few, since a custody account may have one for each of a million orders."""
    rows = conn.execute(
        text(
            """
            SELECT account_id, concat_ws(':', custody_account_id, kind, nullif(subject, '')) AS code FROM account
            WHERE institution_id = :institution AND account_id = ANY (:numbers)
            """
        ),
        {"institution": account.institution_id, "numbers": list({line.counter_account_id for line in lines})},
    )
    return {row.account_id: row.code for row in rows}


def account_statement_table(
    report: AccountStatement, lines: Iterator[AccountStatementLine], facts: tuple[Fact, ...] = ()
) -> ReportTable:
    """The statement as a report; ``escrow ledger journal --source KIND/REF`` shows each line's whole journal entry."""
    account, codes = report.account, report.codes
    rows = (
        (
            line.seq, line.booking_date, line.posted_at, f"{line.source_kind}/{line.source_ref} ({line.reason})", line.reason,
            line.source_kind, line.source_ref, codes.get(line.counter_account_id),
            line.amount if line.side == Side.DEBIT else None, line.amount if line.side == Side.CREDIT else None, line.balance,
            account.currency, line.transfer_id,
            f"{account.institution_id}.{line.batch_id}.{line.line}", line.actor, line.rule_version,
        )
        for line in lines
    )  # fmt: skip
    about = (
        Fact("account", "account", "科目", f"{account.code} ({account.account_id})"),
        Fact("period", "booked", "记账期间", f"{report.from_ or '...'} - {report.to or '...'}"),
        Fact("opening_balance", "opening balance", "期初余额", report.opening.grouped),
        Fact("closing_balance", "closing balance", "期末余额", report.closing.grouped),
    )
    return ReportTable("account_statement", "Account statement", "科目明细账", _COLUMNS, rows, (*about, *facts))
