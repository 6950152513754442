"""Two-phase transfers: reserve now, then post (all or part), void, or let expire; each pending transfer once.

A reservation counts against floors from the moment it is written: ``available`` is the booked balance without it. The
database moves the sums it keeps of reservations, proves floors against them, refuses a second resolution (primary key), and
at commit requires that a posted one has its transfer. What a reservation brings to an account is not counted until it is posted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from ledger.accounts import find_account
from ledger.known import LOCK_HEADS, PENDING_COLUMNS, driver_cursor, known_books, pending_in_books, pending_of, resolutions_of
from ledger.links import TransferRefused
from ledger.model import (
    PendingOutcome,
    PendingTransfer,
    PostingCall,
    PostingOutcome,
    PostingRefused,
    Refusal,
    RefusalCode,
    Resolution,
    Side,
    Transfer,
    transfer_id,
)
from ledger.months import id_fits_day, in_calendar
from ledger.posting import check_accounts, too_far
from ledger.state import UNBOUNDED, KnownBooks
from ledger.writing import post
from money import Money


@dataclass(frozen=True, slots=True)
class PendingState:
    """A pending transfer and how it ended: ``outcome`` None while it is open. ``posted`` is what its transfer moved."""

    pending: PendingTransfer
    outcome: PendingOutcome | None
    transfer_id: UUID | None
    resolved_on: date | None


def reserve(
    conn: Connection, wanted: Sequence[PendingTransfer], *, now: datetime, actor: str, rule_version: str
) -> tuple[UUID, ...]:
    """Write pending transfers, all or none; ids of the new ones (one that is there with the same content is left as it is).

    Raises PostingRefused: zero_amount, overflow, same_account, unknown_account, closed_account, closed_period, currency,
    exists_with_other_content, below_floor when less is available. Raises ValueError for a naive ``now``.
    """
    if now.tzinfo is None:
        raise ValueError(f"the instant of reserving {now} has no time zone")
    if not wanted:
        return ()
    conn.execute(LOCK_HEADS, {"institutions": sorted({p.institution_id for p in wanted})})
    with driver_cursor(conn) as cursor:
        there = pending_in_books(cursor, [(p.institution_id, p.pending_id) for p in wanted])
        books = known_books(cursor, [PostingCall([_as_transfer(p, p.amount, p.booking_date, p.pending_id) for p in wanted])])
        new: dict[UUID, PendingTransfer] = {}
        refusals = []
        for pending in wanted:
            known = there.get((pending.institution_id, pending.pending_id)) or new.get(pending.pending_id)
            if known == pending:
                continue
            try:
                _reserve_one(pending, known, books)
            except TransferRefused as refused:
                refusals.append(Refusal(pending.pending_id, refused.code, refused.message))
            new[pending.pending_id] = pending
        if refusals:
            raise PostingRefused(tuple(refusals))
        if new:
            with cursor.copy(_COPY_PENDING) as copy:
                for p in new.values():
                    copy.write_row(
                        (
                            p.institution_id,
                            p.pending_id,
                            p.debit_account_id,
                            p.credit_account_id,
                            p.amount.minor_units,
                            p.amount.currency,
                            p.booking_date,
                            p.expires_on,
                            p.reason,
                            p.source_kind,
                            p.source_ref,
                            actor,
                            rule_version,
                            now,
                        )
                    )
    return tuple(new)


def _reserve_one(pending: PendingTransfer, known: PendingTransfer | None, books: KnownBooks) -> None:
    """Judge one reservation and count it against what is available. ``known``: another with its id. Raises TransferRefused."""
    if known is not None:
        raise TransferRefused(
            RefusalCode.EXISTS_WITH_OTHER_CONTENT,
            f"{pending.source_kind} {pending.source_ref} was reserved before with other content",
        )
    if pending.expires_on is not None and pending.expires_on < pending.booking_date:
        raise TransferRefused(
            RefusalCode.PENDING_EXPIRED,
            f"it would expire on {pending.expires_on}, before it is reserved on {pending.booking_date}",
        )
    debit, credit = check_accounts(_as_transfer(pending, pending.amount, pending.booking_date, pending.pending_id), books)
    amount = pending.amount.minor_units
    if debit.balance + amount > debit.highest and debit.highest != UNBOUNDED:
        raise too_far(debit, debit.balance + amount)
    if credit.balance - amount < credit.lowest and credit.lowest != -UNBOUNDED:
        raise too_far(credit, credit.balance - amount)
    if debit.highest != UNBOUNDED:
        debit.highest -= amount
        debit.reserved += amount
    if credit.lowest != -UNBOUNDED:
        credit.lowest += amount
        credit.reserved += amount


def _as_transfer(pending: PendingTransfer, amount: Money, booking_date: date, transfer_id: UUID) -> Transfer:
    return Transfer(
        transfer_id=transfer_id,
        institution_id=pending.institution_id,
        debit_account_id=pending.debit_account_id,
        credit_account_id=pending.credit_account_id,
        amount=amount,
        booking_date=booking_date,
        reason=pending.reason,
        source_kind=pending.source_kind,
        source_ref=pending.source_ref,
    )


def post_pending(
    conn: Connection,
    institution_id: int,
    pending_id: UUID,
    *,
    booking_date: date,
    now: datetime,
    actor: str,
    reason: str,
    rule_version: str,
    amount: Money | None = None,
) -> PostingOutcome:
    """Post a pending transfer, for all of it or for ``amount`` of it (the rest is freed), booked on ``booking_date``.

    The transfer's id is the pending one's, or one of the month it is booked in when that is another. So posting it again with
    the same amount and date changes nothing. Raises PostingRefused: unknown_pending, already_resolved, pending_expired,
    resolution_mismatch, and what ``post`` refuses.
    """
    with driver_cursor(conn) as cursor:
        found = pending_in_books(cursor, [(institution_id, pending_id)])
        posted_as = resolutions_of(cursor, [(institution_id, pending_id)]).get((institution_id, pending_id))
    if not found:
        message = f"pending transfer {pending_id} is not in the books of institution {institution_id}"
        raise PostingRefused((Refusal(pending_id, RefusalCode.UNKNOWN_PENDING, message),))
    pending = found[institution_id, pending_id]
    moved = transfer_id(institution_id, booking_date, "pending", pending_id.hex) if in_calendar(booking_date) else pending_id
    identity = posted_as or (pending_id if id_fits_day(pending_id, booking_date) else moved)
    if posted_as and not id_fits_day(posted_as, booking_date):
        message = f"pending transfer {pending_id} was posted before, in another month, as transfer {posted_as}"
        raise PostingRefused((Refusal(pending_id, RefusalCode.ALREADY_RESOLVED, message),))
    transfer = _as_transfer(pending, pending.amount if amount is None else amount, booking_date, identity)
    return post(
        conn,
        [transfer],
        now=now,
        actor=actor,
        reason=reason,
        rule_version=rule_version,
        resolutions=[Resolution(institution_id, pending_id, transfer.transfer_id)],
    )


def void_pending(
    conn: Connection, institution_id: int, pending_ids: Sequence[UUID], *, resolved_on: date, actor: str, reason: str
) -> tuple[UUID, ...]:
    """Give up pending transfers; ids of those that were open (one that was voided before is left as it is).

    Raises PostingRefused: unknown_pending, already_resolved when it was posted or has expired. All or none.
    """
    conn.execute(LOCK_HEADS, {"institutions": [institution_id]})
    states = {
        state.pending.pending_id: state for state in pending_transfers(conn, institution_id=institution_id, ids=pending_ids)
    }
    refusals = []
    for one in pending_ids:
        state = states.get(one)
        if state is None:
            refusals.append(Refusal(one, RefusalCode.UNKNOWN_PENDING, f"pending transfer {one} is not in the books"))
        elif state.outcome not in (None, PendingOutcome.VOIDED):
            message = f"pending transfer {one} was {state.outcome} on {state.resolved_on}"
            refusals.append(Refusal(one, RefusalCode.ALREADY_RESOLVED, message))
    if refusals:
        raise PostingRefused(tuple(refusals))
    still_open = [one for one in dict.fromkeys(pending_ids) if states[one].outcome is None]
    _resolve(conn, [(institution_id, one) for one in still_open], PendingOutcome.VOIDED, resolved_on, actor, reason)
    return tuple(still_open)


def expire_pending(conn: Connection, as_of: date, *, actor: str) -> int:
    """Let expire every open pending transfer whose last day is before the business day ``as_of``; how many. Safe to repeat."""
    due = conn.execute(_DUE, {"as_of": as_of}).all()
    if not due:
        return 0
    conn.execute(LOCK_HEADS, {"institutions": sorted({row.institution_id for row in due})})
    # Asked again under the locks: one may have been posted meanwhile.
    still = [(row.institution_id, row.pending_id) for row in conn.execute(_DUE, {"as_of": as_of})]
    locked = {row.institution_id for row in due}
    still = [key for key in still if key[0] in locked]
    _resolve(conn, still, PendingOutcome.EXPIRED, as_of, actor, "its last day has passed")
    return len(still)


def _resolve(  # noqa: PLR0917  the columns of a resolution
    conn: Connection, keys: Sequence[tuple[int, UUID]], outcome: PendingOutcome, resolved_on: date, actor: str, reason: str
) -> None:
    if keys:
        columns: dict[str, Any] = {"institutions": [key[0] for key in keys], "ids": [key[1] for key in keys]}
        conn.execute(
            _INSERT_RESOLUTIONS, {**columns, "outcome": outcome.value, "on": resolved_on, "actor": actor, "reason": reason}
        )


def pending_transfers(
    conn: Connection, *, institution_id: int | None = None, ids: Sequence[UUID] | None = None, only_open: bool = False
) -> list[PendingState]:
    """Pending transfers with their outcomes, by institution, booking date and id."""
    rows = conn.execute(
        _STATES, {"institution": institution_id, "ids": None if ids is None else list(ids), "only_open": only_open}
    )
    return [
        PendingState(pending_of(row), PendingOutcome(row.outcome) if row.outcome else None, row.transfer_id, row.resolved_on)
        for row in rows
    ]


def available(conn: Connection, account_id: int) -> Money:
    """The balance now on the normal side without what is reserved. Raises LookupError for an unknown account."""
    account = find_account(conn, account_id)
    row = conn.execute(
        text("""
            SELECT balance_minor_units, pending_debits_minor_units, pending_credits_minor_units FROM account_balance
            WHERE institution_id = :institution AND account_id = :account
        """),
        {"institution": account.institution_id, "account": account_id},
    ).one()
    if account.normal_side is Side.DEBIT:
        return Money(row.balance_minor_units - row.pending_credits_minor_units, account.currency)
    return Money(-row.balance_minor_units - row.pending_debits_minor_units, account.currency)


_COPY_PENDING = """
    COPY pending_transfer (institution_id, pending_id, debit_account_id, credit_account_id, amount_minor_units, currency,
        booking_date, expires_on, reason, source_kind, source_ref, actor, rule_version, pending_at) FROM STDIN
"""
_INSERT_RESOLUTIONS = text("""
    INSERT INTO pending_resolution (institution_id, pending_id, outcome, resolved_on, actor, reason)
    SELECT institution_id, pending_id, :outcome, :on, :actor, :reason
    FROM unnest(CAST(:institutions AS integer[]), CAST(:ids AS uuid[])) AS w(institution_id, pending_id)
""")
_DUE = text("""
    SELECT p.institution_id, p.pending_id FROM pending_transfer p
    WHERE p.expires_on < :as_of AND NOT EXISTS (
        SELECT FROM pending_resolution r WHERE r.institution_id = p.institution_id AND r.pending_id = p.pending_id)
    ORDER BY p.institution_id, p.pending_id
""")
_STATES = text(f"""
    SELECT {PENDING_COLUMNS}, r.outcome, r.transfer_id, r.resolved_on FROM pending_transfer p
    LEFT JOIN pending_resolution r ON r.institution_id = p.institution_id AND r.pending_id = p.pending_id
    WHERE (CAST(:institution AS integer) IS NULL OR p.institution_id = :institution)
        AND (CAST(:ids AS uuid[]) IS NULL OR p.pending_id = ANY(CAST(:ids AS uuid[])))
        AND NOT (:only_open AND r.pending_id IS NOT NULL)
    ORDER BY p.institution_id, p.booking_date, p.pending_id
""")
