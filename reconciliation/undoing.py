"""Undoing the booking of an item the bank does not show (any more).

An item whose clearing the bank took back stands open again under a new id. To undo it is to undo the *first* booking of its
chain, and to clear the item that is open now: reversing only the newest transfer would put the money back into custody cash.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from ledger.model import Clearing, Transfer, transfer_id
from ledger.store import post, reverse
from money import Money


def first_bookings(conn: Connection, institution_id: int, item_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Item id -> the transfer that first booked it: its own, or that of the item it once was."""
    rows = conn.execute(
        text(
            """
            WITH RECURSIVE chain AS (
                SELECT item_id AS wanted, item_id, original_item_id FROM open_item
                WHERE institution_id = :institution AND item_id = ANY (:items)
                UNION ALL
                SELECT c.wanted, i.item_id, i.original_item_id
                FROM chain c JOIN open_item i ON i.institution_id = :institution AND i.item_id = c.original_item_id
            )
            SELECT wanted, item_id FROM chain WHERE original_item_id IS NULL
            """
        ),
        {"institution": institution_id, "items": list(item_ids)},
    )
    found: dict[UUID, UUID] = {row.wanted: row.item_id for row in rows}
    return {item: found[item] for item in item_ids}


def undo_bookings(
    conn: Connection,
    institution_id: int,
    item_ids: Sequence[UUID],
    *,
    now: datetime,
    booking_date: date,
    actor: str,
    reason: str,
    rule_version: str,
) -> None:
    """Undo the first booking of every item and clear the item. Raises PostingRefused (the money has moved on)."""
    first = first_bookings(conn, institution_id, item_ids)
    plain = [item for item, booked in first.items() if item == booked]
    if plain:
        reverse(
            conn,
            institution_id,
            plain,
            now=now,
            booking_date=booking_date,
            actor=actor,
            reason=reason,
            rule_version=rule_version,
        )
    again = {booked: item for item, booked in first.items() if item != booked}
    if not again:
        return
    rows = conn.execute(
        text(
            """
            SELECT transfer_id, debit_account_id, credit_account_id, amount_minor_units, currency, source_kind, source_ref
            FROM transfer WHERE institution_id = :institution AND transfer_id = ANY (:transfers)
            """
        ),
        {"institution": institution_id, "transfers": list(again)},
    )
    mirrors = [
        Transfer(
            transfer_id=transfer_id(institution_id, booking_date, "reversal", row.transfer_id.hex),
            institution_id=institution_id,
            debit_account_id=row.credit_account_id,
            credit_account_id=row.debit_account_id,
            amount=Money(int(row.amount_minor_units), row.currency),
            booking_date=booking_date,
            reason=reason,
            source_kind="reversal",
            source_ref=f"{row.source_kind}/{row.source_ref}",
            reverses=row.transfer_id,
        )
        for row in rows
    ]
    clearings = [Clearing(institution_id, again[one.reverses], one.transfer_id) for one in mirrors if one.reverses is not None]
    post(conn, mirrors, now=now, actor=actor, reason=reason, rule_version=rule_version, clearings=clearings)
