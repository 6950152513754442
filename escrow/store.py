"""Questions about what is promised; each is one set-based query. Acts are in ``handlers``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from escrow.institution import CustodyAccount


@dataclass(frozen=True, slots=True)
class OrderPosition:
    """One order's money, in fen: ``paid`` = ``held`` + ``released`` + ``refunded``. ``funded_on`` None: not yet at the bank.

    ``voided``: the payment was reversed and counts as not paid.
    """

    institution_id: int
    order_id: str
    custody_account_id: int
    held_account_id: int
    paid_minor_units: int
    released_minor_units: int
    refunded_minor_units: int
    held_minor_units: int
    class_hours: int
    released_hours: int
    funded_on: date | None
    voided: bool


@dataclass(frozen=True, slots=True)
class SettledReceipt:
    """An order's receipt (open item) and the settlement batch it arrives in. Amounts in fen."""

    institution_id: int
    custody_account_id: int
    item_id: UUID
    order_id: str
    channel: str
    settlement_batch: str
    settled_on: date
    gross_minor_units: int
    fee_minor_units: int
    net_minor_units: int


@dataclass(frozen=True, slots=True)
class SettlementBatch:
    """What a channel says it pays into a custody account as one bank line. Amounts in fen.

    ``gross_minor_units`` covers all rows of the batch, also those of orders we do not know.
    """

    institution_id: int
    custody_account_id: int
    channel: str
    settlement_batch: str
    settled_on: date
    gross_minor_units: int
    fee_minor_units: int
    net_minor_units: int
    item_count: int


@dataclass(frozen=True, slots=True)
class StoredInstructionFile:
    """An instruction file as sent: the bytes a bank gets, under which name, and their SHA-256 (hex)."""

    bank_code: str
    kind: str
    business_date: date
    sequence: int
    file_name: str
    sha256: str
    content: bytes
    order_count: int
    total_minor_units: int


@dataclass(frozen=True, slots=True)
class HoldInForce:
    """A hold nobody has lifted. Fields that do not belong to its scope are None."""

    institution_id: int
    hold_id: int
    scope: str
    order_id: str | None
    class_hour_no: int | None
    custody_account_id: int | None
    stops_release: bool
    stops_refund: bool
    reason: str
    placed_by: str
    placed_at: Any


def custody_accounts(conn: Connection, *, bank_code: str | None = None) -> list[CustodyAccount]:
    """Every custody account with its institution, by number; of one bank when given."""
    rows = conn.execute(
        text("""
            SELECT i.institution_id, i.institution_code, i.name AS institution_name, i.jurisdiction_code, a.custody_account_id,
                a.bank_code, a.account_number, a.account_name, a.currency, a.opened_on, a.beneficiary_name,
                a.beneficiary_account, a.beneficiary_bank
            FROM custody_account a JOIN institution i USING (institution_id)
            WHERE CAST(:bank_code AS text) IS NULL OR a.bank_code = :bank_code
            ORDER BY a.custody_account_id
        """),
        {"bank_code": bank_code},
    )
    return [CustodyAccount(*row) for row in rows]


def order_positions(
    conn: Connection, *, institution_id: int | None = None, order_ids: Sequence[str] | None = None
) -> list[OrderPosition]:
    """Where every order's money stands now, by institution and order; of one institution or some orders when given."""
    rows = conn.execute(
        text("""
            SELECT institution_id, order_id, custody_account_id, held_account_id, paid_minor_units, released_minor_units,
                refunded_minor_units, held_minor_units, class_hours, released_hours, funded_on, voided
            FROM order_position
            WHERE (CAST(:institution_id AS integer) IS NULL OR institution_id = :institution_id)
                AND (CAST(:order_ids AS text[]) IS NULL OR order_id = ANY(:order_ids))
            ORDER BY institution_id, order_id
        """),
        {"institution_id": institution_id, "order_ids": list(order_ids) if order_ids is not None else None},
    )
    return [OrderPosition(*row) for row in rows]


def orders_of_receipts(conn: Connection, item_ids: Sequence[UUID]) -> list[tuple[int, str, UUID]]:
    """The prepayments whose receipts these open items are, as (institution_id, order_id, item_id)."""
    rows = conn.execute(
        text("""
            SELECT institution_id, order_id, receipt_item_id FROM prepayment
            WHERE receipt_item_id = ANY(CAST(:item_ids AS uuid[])) ORDER BY institution_id, order_id
        """),
        {"item_ids": list(item_ids)},
    )
    return [(row.institution_id, row.order_id, row.receipt_item_id) for row in rows]


def settled_receipts(conn: Connection, *, custody_account_id: int, settled_to: date | None = None) -> list[SettledReceipt]:
    """Receipts still in transit that a channel has named in a settlement batch (up to ``settled_to``): what gives open items
    their group and expected fee.
    """
    rows = conn.execute(
        text("""
            SELECT s.institution_id, s.custody_account_id, p.receipt_item_id, s.order_id, s.channel, s.settlement_batch,
                b.settled_on, s.gross_minor_units, s.fee_minor_units, s.net_minor_units
            FROM channel_settlement_item s
            JOIN channel_settlement b USING (institution_id, custody_account_id, channel, settlement_batch)
            JOIN prepayment p ON p.institution_id = s.institution_id AND p.order_id = s.order_id
            WHERE s.custody_account_id = :custody_account_id
                AND (CAST(:settled_to AS date) IS NULL OR b.settled_on <= :settled_to)
                AND NOT EXISTS (
                    SELECT FROM open_item_clearing c
                    WHERE c.institution_id = p.institution_id AND c.item_id = p.receipt_item_id)
            ORDER BY s.channel, s.settlement_batch, s.order_id
        """),
        {"custody_account_id": custody_account_id, "settled_to": settled_to},
    )
    return [SettledReceipt(*row) for row in rows]


def settlement_batches(
    conn: Connection, *, custody_account_id: int | None = None, settled_from: date | None = None, settled_to: date | None = None
) -> list[SettlementBatch]:
    """Settlement batches as the channels reported them, by account, channel and batch."""
    rows = conn.execute(
        text("""
            SELECT institution_id, custody_account_id, channel, settlement_batch, settled_on, gross_minor_units, fee_minor_units,
                net_minor_units, item_count
            FROM channel_settlement
            WHERE (CAST(:custody_account_id AS integer) IS NULL OR custody_account_id = :custody_account_id)
                AND (CAST(:settled_from AS date) IS NULL OR settled_on >= :settled_from)
                AND (CAST(:settled_to AS date) IS NULL OR settled_on <= :settled_to)
            ORDER BY custody_account_id, channel, settlement_batch
        """),
        {"custody_account_id": custody_account_id, "settled_from": settled_from, "settled_to": settled_to},
    )
    return [SettlementBatch(*row) for row in rows]


def instruction_files(
    conn: Connection, *, business_date: date | None = None, bank_code: str | None = None
) -> list[StoredInstructionFile]:
    """Instruction files by day, bank and kind; of one day or bank when given."""
    rows = conn.execute(
        text("""
            SELECT bank_code, kind, business_date, sequence, file_name, encode(sha256, 'hex'), content, order_count,
                total_minor_units
            FROM instruction_file
            WHERE (CAST(:business_date AS date) IS NULL OR business_date = :business_date)
                AND (CAST(:bank_code AS text) IS NULL OR bank_code = :bank_code)
            ORDER BY business_date, bank_code, kind, sequence
        """),
        {"business_date": business_date, "bank_code": bank_code},
    )
    return [StoredInstructionFile(*row) for row in rows]


def holds_in_force(conn: Connection, *, institution_id: int | None = None) -> list[HoldInForce]:
    """Holds nobody has lifted, oldest first; of one institution when given."""
    rows = conn.execute(
        text("""
            SELECT institution_id, hold_id, scope, order_id, class_hour_no, custody_account_id, stops_release, stops_refund,
                reason, placed_by, placed_at
            FROM hold_in_force
            WHERE CAST(:institution_id AS integer) IS NULL OR institution_id = :institution_id
            ORDER BY hold_id
        """),
        {"institution_id": institution_id},
    )
    return [HoldInForce(*row) for row in rows]
