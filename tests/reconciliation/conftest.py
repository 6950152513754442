"""A small town for reconciliation stories: one custody account whose books are open, a bank that writes statements, a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine

from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.writing.mt940 import write_mt940
from calendars import WorkingCalendar
from config.calendars import load_calendar
from config.chart import load_chart
from config.matching import load_matching_rules
from config.profiles import load_profiles
from ledger.model import NewAccount, OpenItem, Transfer, transfer_id
from ledger.store import open_accounts, open_chart, post
from money import Money
from reconciliation.model import CustodyAccountRef, Gate, Receipt, RunResult, SettlementItem
from reconciliation.quarantine import Desk, LetThrough, approve, prepare
from reconciliation.receiving import receive_statement_file
from reconciliation.resolving import Actor
from reconciliation.running import reconcile

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2025, 3, day) for day in range(3, 8))
BANK = "SWB"
NUMBER = "6222000000000017"


@dataclass
class Town:
    """One institution with one custody account; every act is committed, as a command would."""

    engine: Engine
    ref: CustodyAccountRef
    accounts: dict[tuple[str, str], int]
    calendar: WorkingCalendar
    balance: int = 0
    sequence: int = 0
    settlements: list[SettlementItem] = field(default_factory=list)
    ticks: int = 0

    def now(self) -> datetime:
        self.ticks += 1
        return datetime(2025, 3, 31, 8, 0, tzinfo=UTC).replace(microsecond=self.ticks)

    def order(self, name: str, amount: int, paid_on: date, *references: str) -> UUID:
        """An order paid by bank transfer on a day and due the day after; returns its receipt item."""
        held = ("prepayment_held", name)
        with self.engine.begin() as conn:
            new = NewAccount(
                self.ref.institution_id, self.ref.custody_account_id, "prepayment_held", name, "CNY", date(2025, 1, 1)
            )
            self.accounts[held] = open_accounts(conn, load_chart(), [new])[self.ref.custody_account_id, *held]
            item = transfer_id(self.ref.institution_id, paid_on, "order", name)
            transit = self.accounts["receipts_in_transit", "bank_transfer"]
            transfer = self._transfer(item, transit, self.accounts[held], amount, paid_on, "order_paid", "order", name)
            due = date.fromordinal(paid_on.toordinal() + 1)
            self._post(conn, transfer, self._item(transfer, transit, "receipt", "IN", due, (name, *references)))
        return item

    def disbursement(self, name: str, amount: int, on: date, order: str) -> UUID:
        """Money released out of an order and instructed to be paid on a day; returns the disbursement's item."""
        with self.engine.begin() as conn:
            payable, transit = self.accounts["payable_to_institution", ""], self.accounts["disbursements_in_transit", ""]
            held = self.accounts["prepayment_held", order]
            first = transfer_id(self.ref.institution_id, on, "release", name)
            self._post(conn, self._transfer(first, held, payable, amount, on, "released", "release", name), None)
            item = transfer_id(self.ref.institution_id, on, "disbursement", name)
            transfer = self._transfer(item, payable, transit, amount, on, "disbursed", "disbursement", name)
            self._post(conn, transfer, self._item(transfer, transit, "disbursement", "OUT", on, (name,)))
        return item

    def _transfer(
        self, identity: UUID, debit: int, credit: int, amount: int, day: date, reason: str, kind: str, name: str
    ) -> Transfer:
        return Transfer(identity, self.ref.institution_id, debit, credit, Money(amount), day, reason, kind, name)

    def _item(
        self, transfer: Transfer, account: int, kind: str, direction: str, due: date, references: tuple[str, ...]
    ) -> OpenItem:
        return OpenItem(
            transfer.transfer_id,
            self.ref.institution_id,
            self.ref.custody_account_id,
            account,
            kind,
            direction,
            transfer.amount,
            transfer.booking_date,
            due,
            references,
        )

    def _post(self, conn: Connection, transfer: Transfer, item: OpenItem | None) -> None:
        items = [item] if item else []
        post(conn, [transfer], now=self.now(), actor="test", reason="story", rule_version="story", open_items=items)

    def statement(
        self, day: date, *lines: tuple[Direction, int, str] | tuple[Direction, int, str, str], opening: int | None = None
    ) -> Statement:
        """The bank's next statement; lines are (direction, fen, reference[, text])."""
        before = self.balance if opening is None else opening
        after = before + sum(line[1] if line[0] is Direction.IN else -line[1] for line in lines)
        self.balance = after
        self.sequence += 1
        return Statement(
            kind=StatementKind.STATEMENT,
            account=self.ref.account_number,
            currency="CNY",
            statement_id=f"S{self.sequence:05d}",
            sequence=str(self.sequence),
            opening_balance=Money(before),
            opening_date=day,
            closing_balance=Money(after),
            closing_date=day,
            lines=tuple(self._line(day, number, *line) for number, line in enumerate(lines, 1)),
            accepted=True,
        )

    def _line(
        self, day: date, number: int, direction: Direction, amount: int, reference: str, description: str = ""
    ) -> StatementLine:
        bank_reference = f"BK{day:%m%d}{self.sequence:02d}{number:03d}"
        return StatementLine(
            day,
            day,
            direction,
            Money(amount),
            LineStatus.BOOKED,
            number,
            bank_reference=bank_reference,
            end_to_end_reference=reference or None,
            references=tuple(one for one in (reference, bank_reference) if one),
            description=description or None,
        )

    def deliver(self, *statements: Statement, name: str = "", sender: str = BANK) -> Receipt:
        """The bank sends one MT940 file with these statements."""
        return self.deliver_bytes(write_mt940(statements), name or f"{self.sequence}.sta", sender=sender)

    def deliver_bytes(self, data: bytes, name: str, sender: str = BANK) -> Receipt:
        with self.engine.begin() as conn:
            return receive_statement_file(
                conn,
                data,
                name,
                sender_bank=sender,
                directory={(self.ref.bank_code, self.ref.account_number): self.ref},
                profiles=load_profiles(),
                now=self.now(),
                actor="bank.circle",
            )

    def restate(
        self, day: date, *lines: tuple[Direction, int, str] | tuple[Direction, int, str, str], opening: int, sequence: int
    ) -> Statement:
        """Another version of a day's statement; the bank's counters stay where they are, its lines keep their references."""
        kept = self.balance, self.sequence
        self.sequence = sequence - 1
        made = self.statement(day, *lines, opening=opening)
        self.balance, self.sequence = kept
        return made

    def desk(self, user: str) -> Desk:
        """A person at the quarantine."""
        role = {"zhang.prepare": "supervisor", "li.approve": "approver"}[user]
        directory = {(self.ref.bank_code, self.ref.account_number): self.ref}
        return Desk(directory, load_profiles(), Actor(user, role), self.now())

    def release(self, *numbers: int, gates: Sequence[Gate] = tuple(Gate)) -> list[LetThrough]:
        """One person proposes to let statements through, another approves."""
        with self.engine.begin() as conn:
            prepare(conn, numbers, gates, self.desk("zhang.prepare"), reason="the bank wrote to us")
        with self.engine.begin() as conn:
            return approve(conn, numbers[0], gates, self.desk("li.approve"))

    def day(self, day: date, *lines: tuple[Direction, int, str] | tuple[Direction, int, str, str]) -> RunResult:
        """The bank's statement of a day arrives and the day is reconciled."""
        receipt = self.deliver(self.statement(day, *lines))
        assert [str(one.outcome) for one in receipt.statements] == ["counted"], receipt
        return self.reconcile(day)

    def reconcile(self, day: date) -> RunResult:
        with self.engine.begin() as conn:
            return reconcile(
                conn,
                self.ref,
                day,
                rules=load_matching_rules(),
                calendar=self.calendar,
                now=self.now(),
                actor="system",
                settlements=self.settlements,
            )

    def query(self, sql: str) -> Sequence[tuple[object, ...]]:
        with self.engine.connect() as conn:
            return [tuple(row) for row in conn.exec_driver_sql(sql)]


@pytest.fixture
def town(books: Engine) -> Town:
    ref = CustodyAccountRef(1, 17, BANK, NUMBER, "CNY", date(2025, 3, 1), "Sunrise Custody")
    with books.begin() as conn:
        accounts = open_chart(conn, load_chart(), 1, 17, "CNY", ["wechat", "alipay", "bank_transfer"], date(2025, 1, 1))
    return Town(books, ref, dict(accounts), load_calendar())
