"""Approve refunds: the untaught rest of a prepayment goes back to the payer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from calendars import WorkingCalendar
from escrow.confirmations import deadline_of_silence
from escrow.disbursement import refund_reference
from escrow.policy import PolicyBook
from escrow.refund import refundable
from escrow.schedule import ReleaseMode, ReleaseSchedule, parse_tranches
from escrow.staging import copy_rows, take_turn
from ledger.model import OpenItem, Transfer, transfer_id
from ledger.store import post
from money import Money


@dataclass(frozen=True, slots=True)
class RefundReport:
    """What a day's approval did. ``amount_minor_units`` in fen; ``empty``: approved with nothing left to give back.

    ``withheld``: requests due but stopped, counted by reason: on_hold, unfunded, voided.
    """

    as_of: date
    refunds: int
    empty: int
    amount_minor_units: int
    withheld: Mapping[str, int] = field(default_factory=dict)


_REQUESTED = """
    SELECT q.institution_id, q.refund_request_id, q.order_id, q.requested_on, q.institution_response, q.responded_on,
        q.payee_name, q.payee_account, p.custody_account_id, p.held_account_id, p.amount_minor_units, p.class_hours,
        p.release_mode, p.release_tranches, p.jurisdiction_code, a.currency, transit.account_id AS transit_account_id,
        (SELECT count(*) FROM release r WHERE r.institution_id = p.institution_id AND r.order_id = p.order_id)
            AS released_hours,
        (SELECT count(*) FROM class_hour_event t
            WHERE t.institution_id = p.institution_id AND t.order_id = p.order_id AND t.event = 'taught'
                AND NOT EXISTS (
                    SELECT FROM release r WHERE r.institution_id = t.institution_id AND r.order_id = t.order_id
                        AND r.class_hour_no = t.class_hour_no)
                AND NOT EXISTS (
                    SELECT FROM class_hour_event e WHERE e.institution_id = t.institution_id AND e.order_id = t.order_id
                        AND e.class_hour_no = t.class_hour_no AND e.event = 'dispute_upheld')) AS reserved_hours,
        (SELECT coalesce(sum(f.amount_minor_units), 0)::bigint FROM refund f
            WHERE f.institution_id = p.institution_id AND f.order_id = p.order_id
                AND NOT EXISTS (
                    SELECT FROM reversal b WHERE b.institution_id = f.institution_id AND b.original_id = f.transfer_id)
        ) AS refunded_before,
        CASE
            WHEN EXISTS (
                SELECT FROM hold_in_force h
                WHERE h.institution_id = p.institution_id AND h.stops_refund
                    AND (h.custody_account_id = p.custody_account_id OR h.order_id = p.order_id)) THEN 'on_hold'
            WHEN EXISTS (
                SELECT FROM reversal v
                WHERE v.institution_id = p.institution_id AND v.original_id = p.receipt_item_id) THEN 'voided'
            WHEN u.order_id IS NULL OR back.item_id IS NOT NULL THEN 'unfunded'
        END AS stopped_by
    FROM refund_request q
    JOIN prepayment p ON p.institution_id = q.institution_id AND p.order_id = q.order_id
    JOIN custody_account a ON a.institution_id = p.institution_id AND a.custody_account_id = p.custody_account_id
    JOIN account transit ON transit.institution_id = p.institution_id AND transit.custody_account_id = p.custody_account_id
        AND transit.kind = 'refunds_in_transit' AND transit.subject = ''
    LEFT JOIN funding u ON u.institution_id = p.institution_id AND u.order_id = p.order_id AND u.funded_on <= :as_of
    LEFT JOIN receipt_taken_back back ON back.institution_id = p.institution_id AND back.item_id = p.receipt_item_id
    WHERE q.requested_on <= :as_of
        AND NOT EXISTS (
            SELECT FROM refund f WHERE f.institution_id = q.institution_id AND f.refund_request_id = q.refund_request_id)
    ORDER BY q.institution_id, q.order_id, q.requested_at, q.refund_request_id
"""
_COLUMNS = (
    "institution_id", "refund_request_id", "order_id", "amount_minor_units", "transfer_id", "approved_on", "basis",
    "released_hours", "reserved_hours", "payee_name", "payee_account",
)  # fmt: skip


def approve_refunds(
    conn: Connection, as_of: date, *, policies: PolicyBook, calendar: WorkingCalendar, now: datetime, actor: str = "system"
) -> RefundReport:
    """Approve every request the institution agreed to by ``as_of``, or was silent about for the policy's working days.

    What goes back is the prepayment less what is released, less the instalments of class-hours taught but not settled, less
    earlier refunds; never out of money not seen at the bank. Booked on ``as_of``, due on that day or the next working day.
    Safe to repeat: a request is approved once.
    """
    take_turn(conn)
    due_date = as_of if calendar.is_working_day(as_of) else calendar.next_working_day(as_of)
    rows: list[tuple[Any, ...]] = []
    transfers: list[Transfer] = []
    items: list[OpenItem] = []
    withheld: Counter[str] = Counter()
    refunded_now: defaultdict[tuple[int, str], int] = defaultdict(int)
    for found in conn.execute(text(_REQUESTED), {"as_of": as_of}):
        basis = _basis(found, as_of, policies, calendar)
        if basis is None:
            continue
        if found.stopped_by is not None:
            withheld[found.stopped_by] += 1
            continue
        order = (found.institution_id, found.order_id)
        amount = refundable(
            ReleaseSchedule(
                found.amount_minor_units,
                found.class_hours,
                ReleaseMode(found.release_mode),
                parse_tranches(found.release_tranches),
            ),
            released_hours=found.released_hours,
            reserved_hours=found.reserved_hours,
            refunded_minor_units=found.refunded_before + refunded_now[order],
        )
        refunded_now[order] += amount
        posted: UUID | None = None
        if amount:
            transfer = _transfer(found, amount, as_of)
            posted = transfer.transfer_id
            transfers.append(transfer)
            items.append(_open_item(found, transfer, due_date))
        rows.append(
            (
                found.institution_id, found.refund_request_id, found.order_id, amount, posted, as_of, basis,
                found.released_hours, found.reserved_hours, found.payee_name, found.payee_account,
            )
        )  # fmt: skip
    if rows:
        copy_rows(conn, "refund", _COLUMNS, rows)
    if transfers:
        post(
            conn,
            transfers,
            now=now,
            actor=actor,
            reason="refunds approved",
            rule_version=policies.version,
            open_items=items,
        )
    total = sum(row[3] for row in rows)
    return RefundReport(as_of, len(rows), sum(not row[3] for row in rows), total, dict(sorted(withheld.items())))


def _basis(found: Any, as_of: date, policies: PolicyBook, calendar: WorkingCalendar) -> str | None:
    """Why the request is due by ``as_of``; None when it is not."""
    if found.institution_response == "agreed":
        return "agreed" if found.responded_on <= as_of else None
    days = policies.policy_for(found.jurisdiction_code, found.requested_on).refund.deemed_agreed_after_working_days
    deadline = deadline_of_silence(calendar, found.requested_on, days)
    return "deemed" if deadline is not None and deadline <= as_of else None


def _transfer(found: Any, amount: int, as_of: date) -> Transfer:
    return Transfer(
        transfer_id=transfer_id(found.institution_id, as_of, "refund", found.refund_request_id),
        institution_id=found.institution_id,
        debit_account_id=found.held_account_id,
        credit_account_id=found.transit_account_id,
        amount=Money(amount, found.currency),
        booking_date=as_of,
        reason="refund_approved",
        source_kind="refund",
        source_ref=found.refund_request_id,
    )


def _open_item(found: Any, transfer: Transfer, due_date: date) -> OpenItem:
    return OpenItem(
        item_id=transfer.transfer_id,
        institution_id=found.institution_id,
        custody_account_id=found.custody_account_id,
        account_id=found.transit_account_id,
        kind="refund",
        direction="OUT",
        amount=transfer.amount,
        booking_date=transfer.booking_date,
        due_date=due_date,
        references=(refund_reference(found.refund_request_id),),
        counterparty_name=found.payee_name,
        counterparty_account=found.payee_account,
    )
