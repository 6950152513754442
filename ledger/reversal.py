"""Undoing and putting right what was posted, by posting more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection

from ledger.known import clearings_of, driver_cursor, items_cleared_by, items_in_books, transfers_in_books
from ledger.model import (
    Clearing,
    Correction,
    OpenItem,
    PostingOutcome,
    PostingRefused,
    Refusal,
    RefusalCode,
    Transfer,
    transfer_id,
)
from ledger.writing import post


def reverse(
    conn: Connection,
    institution_id: int,
    transfer_ids: Sequence[UUID],
    *,
    now: datetime,
    booking_date: date,
    actor: str,
    reason: str,
    rule_version: str,
) -> PostingOutcome:
    """Undo transfers by posting their mirrors, booked on ``booking_date``; a journal entry's mirrors are one entry again.

    An open item that a reversed transfer opened is cleared by the mirror; a clearing that is reversed leaves a new open item
    pointing at the old one, so money in transit always equals its open items. Safe to repeat with the same booking date.
    Raises PostingRefused: unknown_original, already_reversed, below_floor, or already_cleared when a transfer's open item
    was cleared since (reverse the clearing first).
    """
    mirrors, reopened, clearings = _mirrors(conn, institution_id, transfer_ids, booking_date, reason)
    return post(
        conn,
        mirrors,
        now=now,
        actor=actor,
        reason=reason,
        rule_version=rule_version,
        open_items=reopened,
        clearings=clearings,
    )


def correct(
    conn: Connection,
    institution_id: int,
    transfer_id: UUID,
    right: Sequence[Transfer],
    *,
    now: datetime,
    booking_date: date,
    actor: str,
    reason: str,
    rule_version: str,
) -> PostingOutcome:
    """Undo a transfer by its mirror, booked on ``booking_date``, and post ``right`` in its stead, linked to it; all or nothing.

    Each transfer of ``right`` keeps its own booking date, usually the same open day; read as corrected
    (``ledger.corrected``) mirror and right ones count for the original's day. Safe to repeat. Raises PostingRefused as
    ``reverse`` and ``post`` do.
    """
    mirrors, reopened, clearings = _mirrors(conn, institution_id, [transfer_id], booking_date, reason)
    return post(
        conn,
        [*mirrors, *right],
        now=now,
        actor=actor,
        reason=reason,
        rule_version=rule_version,
        open_items=reopened,
        clearings=clearings,
        corrections=[Correction(institution_id, one.transfer_id, transfer_id) for one in right],
    )


def _mirrors(
    conn: Connection, institution_id: int, transfer_ids: Sequence[UUID], booking_date: date, reason: str
) -> tuple[list[Transfer], list[OpenItem], list[Clearing]]:
    """Mirrors of transfers, the open items they leave and those they clear. Raises PostingRefused."""
    with driver_cursor(conn) as cursor:
        originals = transfers_in_books(cursor, [(institution_id, one) for one in transfer_ids])
        items = items_in_books(cursor, [(institution_id, one) for one in transfer_ids])
        cleared_by = clearings_of(cursor, list(items))
        clears = items_cleared_by(cursor, [(institution_id, one) for one in transfer_ids])
    mirrors: list[Transfer] = []
    reopened: list[OpenItem] = []
    clearings: list[Clearing] = []
    refusals: list[Refusal] = []
    for one in dict.fromkeys(transfer_ids):
        key = (institution_id, one)
        original = originals.get(key)
        if original is None:
            refusals.append(Refusal(one, RefusalCode.UNKNOWN_ORIGINAL, f"transfer {one} is not in the books"))
            continue
        mirror_id = transfer_id(institution_id, booking_date, "reversal", one.hex)
        mirrors.append(
            Transfer(
                transfer_id=mirror_id,
                institution_id=institution_id,
                debit_account_id=original.credit_account_id,
                credit_account_id=original.debit_account_id,
                amount=original.amount,
                booking_date=booking_date,
                reason=reason,
                source_kind="reversal",
                source_ref=f"{original.source_kind}/{original.source_ref}",
                reverses=one,
            )
        )
        if key in items:
            if cleared_by.get(key, mirror_id) != mirror_id:
                message = f"its open item was cleared by transfer {cleared_by[key]}; reverse that one first"
                refusals.append(Refusal(one, RefusalCode.ALREADY_CLEARED, message))
            clearings.append(Clearing(institution_id, one, mirror_id))
        if key in clears:
            reopened.append(_reopened(clears[key], mirror_id, booking_date))
    if refusals:
        raise PostingRefused(tuple(refusals))
    return mirrors, reopened, clearings


def _reopened(item: OpenItem, item_id: UUID, booking_date: date) -> OpenItem:
    return OpenItem(
        item_id=item_id,
        institution_id=item.institution_id,
        custody_account_id=item.custody_account_id,
        account_id=item.account_id,
        kind=item.kind,
        direction=item.direction,
        amount=item.amount,
        booking_date=booking_date,
        due_date=item.due_date,
        references=item.references,
        group_key=item.group_key,
        expected_fee=item.expected_fee,
        counterparty_name=item.counterparty_name,
        counterparty_account=item.counterparty_account,
        original_item_id=item.item_id,
    )
