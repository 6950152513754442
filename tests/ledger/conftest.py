"""A small set of books to post to: one institution with one custody account, and a few orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from config.chart import load_chart
from ledger.chart import Chart
from ledger.model import Clearing, NewAccount, OpenItem, PostingOutcome, Transfer, transfer_id
from ledger.store import open_accounts, open_chart, post
from money import Money

DAY = date(2025, 3, 3)
NOW = datetime(2025, 3, 3, 10, 0, tzinfo=UTC)


@dataclass
class Desk:
    """Posts as the application does. Accounts are named by (kind, subject)."""

    conn: Connection
    institution: int = 7
    custody_account: int = 70
    chart: Chart = field(default_factory=load_chart)
    ids: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ids = open_chart(self.conn, self.chart, self.institution, self.custody_account, "CNY", ["wechat"], date(2025, 1, 1))

    def open_orders(self, *orders: str, currency: str = "CNY") -> None:
        wanted = [
            NewAccount(self.institution, self.custody_account, "prepayment_held", order, currency, date(2025, 1, 1))
            for order in orders
        ]
        for (_, kind, subject), account_id in open_accounts(self.conn, self.chart, wanted).items():
            self.ids[kind, subject] = account_id

    def transfer(
        self,
        debit: tuple[str, str],
        credit: tuple[str, str],
        fen: int,
        ref: str,
        *,
        kind: str = "test",
        day: date = DAY,
        leg: int = 1,
        reason: str = "tested",
    ) -> Transfer:
        return Transfer(
            transfer_id(self.institution, day, kind, ref, leg),
            self.institution,
            self.ids[debit],
            self.ids[credit],
            Money(fen),
            day,
            reason,
            kind,
            ref,
        )

    def paid(self, order: str, fen: int, *, day: date = DAY) -> tuple[Transfer, OpenItem]:
        """An order reported paid through WeChat: its transfer and open item."""
        if ("prepayment_held", order) not in self.ids:
            self.open_orders(order)
        transfer = self.transfer(
            ("receipts_in_transit", "wechat"), ("prepayment_held", order), fen, order, kind="order", day=day, reason="order_paid"
        )
        item = OpenItem(
            transfer.transfer_id,
            self.institution,
            self.custody_account,
            self.ids["receipts_in_transit", "wechat"],
            "receipt",
            "IN",
            Money(fen),
            day,
            day,
            (order, f"WX,{order}"),
            counterparty_name='王"小明',
        )
        return transfer, item

    def received(self, order: str, fen: int, item: OpenItem, *, day: date = DAY) -> tuple[Transfer, Clearing]:
        """The bank line that matches it: its transfer and clearing."""
        transfer = self.transfer(
            ("custody_cash", ""), ("receipts_in_transit", "wechat"), fen, order, kind="receipt", day=day, reason="receipt_matched"
        )
        return transfer, Clearing(self.institution, item.item_id, transfer.transfer_id)

    def post(self, *transfers: Transfer, **more: Any) -> PostingOutcome:
        arguments = {"now": NOW, "actor": "tester", "reason": "test", "rule_version": "rules-1", **more}
        return post(self.conn, transfers, **arguments)

    def story(self) -> tuple[OpenItem, OpenItem]:
        """Order A paid and received, order B paid and still in transit, an hour of A released and refunded back; two batches."""
        (a, item_a), (b, item_b) = self.paid("A", 10_000), self.paid("B", 20_000)
        self.post(a, b, open_items=[item_a, item_b])
        receipt, clearing = self.received("A", 10_000, item_a)
        release = self.transfer(("prepayment_held", "A"), ("payable_to_institution", ""), 3_333, "A#1", kind="release")
        self.post(receipt, release, clearings=[clearing])
        return item_a, item_b


@pytest.fixture
def desk(connection: Connection) -> Desk:
    return Desk(connection)
