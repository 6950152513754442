"""Mark prepayments as funded: their money was seen at the bank."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, text

from escrow.staging import stage, take_turn


def mark_funded(conn: Connection, funded: Iterable[tuple[int, str, UUID]], funded_on: date) -> int:
    """Record prepayments as funded on the business day, by (institution_id, order_id, clearing transfer id); how many are new.

    Safe to repeat: the first funding stays.
    """
    take_turn(conn)
    stage(conn, "staged_funding", {"institution_id": "integer", "order_id": "text", "transfer_id": "uuid"}, funded)
    return conn.execute(
        text("""
            INSERT INTO funding (institution_id, order_id, funded_on, transfer_id)
            SELECT DISTINCT ON (institution_id, order_id) institution_id, order_id, :funded_on, transfer_id
            FROM staged_funding ORDER BY institution_id, order_id, transfer_id
            ON CONFLICT (institution_id, order_id) DO NOTHING
        """),
        {"funded_on": funded_on},
    ).rowcount


def fund_cleared_receipts(conn: Connection, as_of: date) -> int:
    """Mark as funded every prepayment whose receipt a transfer of money at the bank has cleared by ``as_of``; how many are new.

    Money at the bank is custody cash, or a receipt nobody could name until now.

    A receipt cleared by anything else (written off, reversed) brought no money and funds nothing. ``funded_on`` is the booking
    date of the clearing transfer. Safe to repeat.
    """
    take_turn(conn)
    return conn.execute(
        text("""
            INSERT INTO funding (institution_id, order_id, funded_on, transfer_id)
            SELECT p.institution_id, p.order_id, c.cleared_on, c.clearing_transfer_id
            FROM prepayment p
            JOIN open_item_clearing c ON c.institution_id = p.institution_id AND c.item_id = p.receipt_item_id
            JOIN transfer t ON t.institution_id = c.institution_id AND t.transfer_id = c.clearing_transfer_id
            JOIN account d ON d.institution_id = t.institution_id AND d.account_id = t.debit_account_id
            WHERE d.kind IN ('custody_cash', 'unidentified_receipts') AND c.cleared_on <= :as_of
                AND NOT EXISTS (
                    SELECT FROM funding f WHERE f.institution_id = p.institution_id AND f.order_id = p.order_id)
            ORDER BY p.institution_id, p.order_id
        """),
        {"as_of": as_of},
    ).rowcount
