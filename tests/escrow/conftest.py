"""A district told in the words of the domain: pay, teach, confirm, let a day pass. Everything goes through real files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from calendars import BUSINESS_TIME_ZONE
from config.banks import load_banks
from config.calendars import load_calendar
from config.channels import load_channels
from config.chart import load_chart
from config.policies import load_policies
from escrow import handlers, store
from escrow.hold import HoldScope
from escrow.institution import uscc_check_character
from escrow.verification import verify
from ledger.model import Clearing, Transfer, transfer_id
from ledger.store import post
from money import Money

CHART, BANKS, CHANNELS, POLICIES, CALENDAR = load_chart(), load_banks(), load_channels(), load_policies(), load_calendar()


def uscc(number: int) -> str:
    body = f"91330106{number:09d}"
    return body + uscc_check_character(body)


def instant(day: date, at: time = time(18, 0)) -> str:
    return datetime.combine(day, at, BUSINESS_TIME_ZONE).isoformat()


def day(text_: str) -> date:
    return date.fromisoformat(text_)


@dataclass
class District:
    """Books with helpers that speak the domain's language. Amounts are yuan as text, days are ISO text or dates."""

    conn: Connection
    now: datetime = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
    institutions: dict[str, int] = field(default_factory=dict)
    order_places: dict[str, str] = field(default_factory=dict)

    def lines(self, rows: list[dict[str, Any]]) -> bytes:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()

    # -- imports -------------------------------------------------------------------------------------------------------
    def institution_row(self, number: int = 1, jurisdiction: str = "110000", **changes: str) -> dict[str, str]:
        row = {
            "institution_code": uscc(number),
            "name": f"晨光培训 {number}",
            "jurisdiction_code": jurisdiction,
            "bank_code": "NRB",
            "account_number": f"6222{number:012d}",
            "account_name": f"晨光培训 {number} 预收费资金托管专户",
            "currency": "CNY",
            "opened_on": "2024-01-01",
            "beneficiary_name": f"晨光培训 {number}",
            "beneficiary_account": f"9559{number:012d}",
            "beneficiary_bank": "北江银行",
        }
        return row | changes

    def import_institutions(self, rows: list[dict[str, str]] | bytes) -> handlers.ImportReport:
        data = rows if isinstance(rows, bytes) else self.lines(rows)
        return handlers.import_institutions(
            self.conn, data, "institutions.jsonl", chart=CHART, banks=BANKS, jurisdictions=POLICIES, channels=CHANNELS,
            now=self.now, actor="platform",
        )  # fmt: skip

    def found(self, number: int = 1, jurisdiction: str = "110000", **changes: str) -> str:
        """An institution that may take prepayments; its code."""
        report = self.import_institutions([self.institution_row(number, jurisdiction, **changes)])
        assert report.all_taken, report.findings
        return uscc(number)

    def order_row(self, order_id: str = "ORD1", number: int = 1, **changes: Any) -> dict[str, Any]:
        row = {
            "institution_code": uscc(number),
            "account_number": f"6222{number:012d}",
            "order_id": order_id,
            "payer_token": f"payer-{order_id}",
            "student_token": f"student-{order_id}",
            "course_name": "书法",
            "class_hours": "10",
            "amount": "1000.00",
            "currency": "CNY",
            "channel": "wechat",
            "channel_reference": f"42000{order_id}",
            "paid_at": instant(day("2025-03-03")),
            "course_starts_on": "2025-03-05",
            "course_ends_on": "2025-05-30",
        }
        return row | changes

    def import_orders(self, rows: list[dict[str, Any]] | bytes, name: str = "orders.jsonl") -> handlers.ImportReport:
        data = rows if isinstance(rows, bytes) else self.lines(rows)
        return handlers.import_orders(
            self.conn, data, name, chart=CHART, channels=CHANNELS, policies=POLICIES, now=self.now, actor="platform"
        )

    def paid(self, order_id: str = "ORD1", number: int = 1, **changes: Any) -> str:
        """An order reported as paid."""
        report = self.import_orders([self.order_row(order_id, number, **changes)])
        assert report.all_taken, report.findings
        self.order_places[order_id] = uscc(number)
        return order_id

    def event_row(self, order_id: str, hour: int, event: str, on: str, at: time = time(18, 0), number: int = 1) -> dict[str, Any]:
        return {
            "institution_code": self.order_places.get(order_id, uscc(number)),
            "order_id": order_id,
            "class_hour_no": hour,
            "event": event,
            "event_at": instant(day(on), at),
            "reported_by": "platform",
        }

    def import_class_hours(self, rows: list[dict[str, Any]] | bytes) -> handlers.ImportReport:
        data = rows if isinstance(rows, bytes) else self.lines(rows)
        return handlers.import_class_hours(self.conn, data, "class-hours.jsonl", now=self.now, actor="platform")

    def reported(self, order_id: str, hours: int | list[int], event: str, on: str, at: time = time(18, 0)) -> None:
        wanted = [hours] if isinstance(hours, int) else hours
        report = self.import_class_hours([self.event_row(order_id, hour, event, on, at) for hour in wanted])
        assert report.all_taken, report.findings

    def taught(self, order_id: str, hours: int | list[int], on: str) -> None:
        self.reported(order_id, hours, "taught", on, time(10, 0))

    def confirmed(self, order_id: str, hours: int | list[int], on: str) -> None:
        self.reported(order_id, hours, "confirmed", on, time(20, 0))

    def request_row(
        self, request_id: str, order_id: str, on: str, agreed_on: str | None = None, **changes: Any
    ) -> dict[str, Any]:
        row = {
            "institution_code": self.order_places[order_id],
            "refund_request_id": request_id,
            "order_id": order_id,
            "requested_at": instant(day(on), time(9, 0)),
            "institution_response": "agreed" if agreed_on else "silent",
            "responded_at": instant(day(agreed_on), time(16, 0)) if agreed_on else None,
            "reason": "搬家",
            "payee_name": "王某",
            "payee_account": "6217000012345678",
        }
        return row | changes

    def import_refund_requests(self, rows: list[dict[str, Any]]) -> handlers.ImportReport:
        return handlers.import_refund_requests(self.conn, self.lines(rows), "requests.jsonl", now=self.now, actor="platform")

    def asks_refund(self, request_id: str, order_id: str, on: str, agreed_on: str | None = None) -> None:
        report = self.import_refund_requests([self.request_row(request_id, order_id, on, agreed_on)])
        assert report.all_taken, report.findings

    def import_settlements(self, rows: list[dict[str, Any]]) -> handlers.ImportReport:
        return handlers.import_channel_settlements(
            self.conn, self.lines(rows), "settlement.jsonl", channels=CHANNELS, now=self.now, actor="platform"
        )

    # -- the bank and the day ------------------------------------------------------------------------------------------
    def bank_shows(self, *order_ids: str, on: str = "2025-03-04") -> None:
        """The bank's statement of the day shows the orders' money; reconciliation clears their receipts."""
        transfers, clearings = [], []
        rows = self.conn.execute(
            text("""
                SELECT p.institution_id, p.order_id, p.receipt_item_id, p.amount_minor_units, i.account_id AS transit,
                    c.account_id AS cash
                FROM prepayment p
                JOIN open_item i ON i.institution_id = p.institution_id AND i.item_id = p.receipt_item_id
                JOIN account c ON c.custody_account_id = p.custody_account_id AND c.kind = 'custody_cash'
                WHERE p.order_id = ANY(:order_ids)
            """),
            {"order_ids": list(order_ids)},
        ).all()
        assert len(rows) == len(order_ids)
        for row in rows:
            moved = transfer_id(row.institution_id, day(on), "match", row.order_id)
            transfers.append(
                Transfer(
                    moved, row.institution_id, row.cash, row.transit, Money(row.amount_minor_units), day(on),
                    "receipt_matched", "match", row.order_id,
                )
            )  # fmt: skip
            clearings.append(Clearing(row.institution_id, row.receipt_item_id, moved))
        post(self.conn, transfers, now=self.now, actor="test", reason="match", rule_version="test", clearings=clearings)
        handlers.fund_cleared_receipts(self.conn, day(on))

    def deemed(self, as_of: str) -> int:
        return handlers.deem_confirmations(self.conn, day(as_of), policies=POLICIES, calendar=CALENDAR)

    def released(self, as_of: str) -> handlers.ReleaseReport:
        return handlers.release_due(self.conn, day(as_of), policies=POLICIES, now=self.now)

    def refunded(self, as_of: str) -> handlers.RefundReport:
        return handlers.approve_refunds(self.conn, day(as_of), policies=POLICIES, calendar=CALENDAR, now=self.now)

    def instructed(self, as_of: str) -> handlers.DisbursementReport:
        return handlers.prepare_disbursements(self.conn, day(as_of), policies=POLICIES, calendar=CALENDAR, now=self.now)

    def hold(self, scope: HoldScope, **named: Any) -> int:
        return handlers.place_hold(
            self.conn, institution_id=self.institution_id(), scope=scope, reason="家长投诉", actor="zhang", now=self.now, **named
        )

    # -- looking -------------------------------------------------------------------------------------------------------
    def institution_id(self, number: int = 1) -> int:
        found: int = self.conn.execute(
            text("SELECT institution_id FROM institution WHERE institution_code = :code"), {"code": uscc(number)}
        ).scalar_one()
        return found

    def position(self, order_id: str = "ORD1") -> store.OrderPosition:
        (found,) = store.order_positions(self.conn, order_ids=[order_id])
        return found

    def count(self, table: str) -> int:
        found: int = self.conn.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
        return found

    def faults(self) -> list[str]:
        return [f"{fault.table}: {fault.row}: {fault.what}" for fault in verify(self.conn)]


@pytest.fixture
def district(connection: Connection) -> Iterator[District]:
    """Empty books; whatever a test does must leave them proving themselves."""
    made = District(connection)
    yield made
    assert made.faults() == []


@pytest.fixture
def school(district: District) -> District:
    """A district with one institution in Beijing (15 working days of silence)."""
    district.found()
    return district


@pytest.fixture(autouse=True)
def _no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing below reads a clock; a test that needs tomorrow says so."""
    monkeypatch.setenv("TZ", "America/New_York")


__all__ = ["District", "timedelta"]
