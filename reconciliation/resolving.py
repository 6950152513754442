"""The acts on a discrepancy: assign, comment, propose a resolution, approve or reject it. Maker is never checker.

A proposal shows the journal entry it would post; approval builds the same entry again, posts it, and consumes the bank line
and the items it disposes of. The database refuses the preparer as approver, and any second use of a line or an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from reconciliation import resolution_wording as say
from reconciliation.discrepancy import (
    ACTS_BY_KIND,
    Act,
    DiscrepancyKind,
    DiscrepancyRecord,
    DiscrepancyState,
    EventKind,
    ResolutionRefused,
)
from reconciliation.discrepancy_store import add_event, find_record
from reconciliation.intake_store import lock_account
from reconciliation.model import ClearedItem
from reconciliation.resolution_groups import twins_to_reverse
from reconciliation.resolution_posting import ProposedLeg, account_ref, execute, latest_day, preview
from reconciliation.wording import discrepancy_standing
from storage import audit
from storage.roles import deciding


class SamePerson(ResolutionRefused):
    """Who proposed a resolution may not approve it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and in which role (for the audit log)."""

    user: str
    role: str


def assign(conn: Connection, prefix: str, owner: str, *, by: Actor, now: datetime) -> DiscrepancyRecord:
    """Make somebody the owner of a discrepancy. Raises LookupError, ResolutionRefused (already closed)."""
    record = _open(conn, prefix, (DiscrepancyState.OPEN, DiscrepancyState.PREPARED))
    return _act(conn, record, EventKind.ASSIGNED, by=by, now=now, owner=owner)


def comment(conn: Connection, prefix: str, what: str, *, by: Actor, now: datetime) -> DiscrepancyRecord:
    """Add a remark to a discrepancy, open or closed."""
    record = _open(conn, prefix, tuple(DiscrepancyState))
    return _act(conn, record, EventKind.COMMENTED, by=by, now=now, reason=what)


def prepare_resolution(
    conn: Connection,
    prefix: str,
    act: Act,
    *,
    by: Actor,
    now: datetime,
    reason: str,
    item_ids: Sequence[UUID] = (),
) -> tuple[DiscrepancyRecord, list[ProposedLeg]]:
    """Propose how to close a discrepancy; returns it with the entry that approval would post.

    ``item_ids``: the items to match with (match_manually). Raises LookupError, ResolutionRefused.
    """
    record = _open(conn, prefix, (DiscrepancyState.OPEN,))
    possible = ACTS_BY_KIND[record.discrepancy.kind]
    if act not in possible:
        raise ResolutionRefused(say.no_resolution(act, record))
    if not reason.strip():
        raise ResolutionRefused(say.reason_wanted())
    chosen = tuple(item_ids) or tuple(UUID(item) for item in record.discrepancy.item_ids if act is not Act.POST_TO_SUSPENSE)
    if act is Act.REVERSE and record.discrepancy.kind is DiscrepancyKind.DUPLICATE_LEDGER:
        chosen = twins_to_reverse(conn, record, tuple(item_ids))
    legs = preview(conn, record, act, chosen)
    changed = _act(conn, record, EventKind.PREPARED, by=by, now=now, act=str(act), item_ids=list(chosen), reason=reason)
    return changed, legs


def approve_resolution(
    conn: Connection, prefix: str, *, by: Actor, now: datetime
) -> tuple[DiscrepancyRecord, tuple[ClearedItem, ...]]:
    """Approve the proposal of another person: post its entry and close the discrepancy.

    Returns it with the items this has cleared (receipts among them are funded now). Raises LookupError, SamePerson,
    ResolutionRefused, and PostingRefused when the books refuse the entry.
    """
    record = _open(conn, prefix, (DiscrepancyState.PREPARED,))
    proposal = record.proposal
    assert proposal is not None  # noqa: S101  a prepared discrepancy has a proposal
    if proposal.prepared_by == by.user:
        raise SamePerson(say.same_person(record.discrepancy, proposal.act, by.user))
    ref = account_ref(conn, record)
    lock_account(conn, ref)
    cleared = execute(conn, record, ref, proposal.act, proposal.item_ids, actor=by.user, now=now)
    changed = _act(
        conn,
        record,
        EventKind.APPROVED,
        by=by,
        now=now,
        prepared_event_no=proposal.event_no,
        prepared_by=proposal.prepared_by,
        reason=proposal.reason,
    )
    return changed, cleared


def reject_resolution(conn: Connection, prefix: str, *, by: Actor, now: datetime, reason: str) -> DiscrepancyRecord:
    """Turn a proposal down with a reason; the discrepancy is open again. Raises LookupError, ResolutionRefused."""
    record = _open(conn, prefix, (DiscrepancyState.PREPARED,))
    proposal = record.proposal
    assert proposal is not None  # noqa: S101  a prepared discrepancy has a proposal
    if not reason.strip():
        raise ResolutionRefused(say.rejection_reason_wanted())
    return _act(
        conn,
        record,
        EventKind.REJECTED,
        by=by,
        now=now,
        reason=reason,
        prepared_event_no=proposal.event_no,
        prepared_by=proposal.prepared_by,
    )


def _open(conn: Connection, prefix: str, states: tuple[DiscrepancyState, ...]) -> DiscrepancyRecord:
    record = find_record(conn, prefix)
    if record.state not in states:
        raise ResolutionRefused(discrepancy_standing(record))
    return record


def _act(
    conn: Connection, record: DiscrepancyRecord, event: EventKind, *, by: Actor, now: datetime, **facts: object
) -> DiscrepancyRecord:
    one = record.discrepancy
    with deciding(conn):
        add_event(conn, record, event, now=now, business_date=latest_day(conn, record), actor=by.user, **facts)
        audit.record(
            conn,
            now=now,
            actor=by.user,
            role=by.role,
            act=f"reconciliation:discrepancy:{event}",
            object_kind="discrepancy",
            object_id=one.discrepancy_id,
            details={"kind": str(one.kind), "amount_minor_units": one.amount_minor_units, **facts},
        )
    return find_record(conn, one.discrepancy_id)
