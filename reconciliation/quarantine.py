"""The acts on what is held back: propose to let it through, approve, turn down. Who proposes never approves.

A restated statement is put in the place of the version in force (``restating.py``); any other statement goes on exactly as if it
had passed the gate: it is read again from the bytes kept, and judged from there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from bank_adapters.profile import Profile
from reconciliation import quarantine_wording as say
from reconciliation.intake_store import lock_account
from reconciliation.model import AccountDirectory, CustodyAccountRef, Gate, StatementOutcome
from reconciliation.quarantine_store import UNDECIDED, Held, QuarantineState, add_event, find_held, held
from reconciliation.reasons import Reason, from_store, told
from reconciliation.receiving import read_again, take_on
from reconciliation.resolving import Actor
from reconciliation.restating import Approval, Plan, RestatingRefused, plan_for, put_in_force, restatement_of
from storage import audit
from storage.roles import deciding
from wording import Refused


class QuarantineRefused(Refused):
    """An act on something held back cannot be taken now."""


@dataclass(frozen=True, slots=True)
class LetThrough:
    """What became of a statement two persons let through."""

    held: Held
    outcome: StatementOutcome
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Desk:
    """What acts on the quarantine need besides the database: whose accounts, which layouts, who acts, when."""

    directory: AccountDirectory
    profiles: Sequence[Profile]
    by: Actor
    now: datetime


def prepare(conn: Connection, numbers: Sequence[int], gates: Sequence[Gate], desk: Desk, *, reason: str) -> list[Held]:
    """Propose to let statements through, all at once; nothing counts yet. ``gates``: those the caller speaks of.

    Raises LookupError, QuarantineRefused.
    """
    if not reason.strip():
        raise QuarantineRefused(say.reason_wanted())
    wanted = [find_held(conn, number) for number in dict.fromkeys(numbers)]
    for one in wanted:
        if one.gate not in gates:
            raise QuarantineRefused(say.another_command(one))
        if one.state not in UNDECIDED:
            raise QuarantineRefused(say.decided_already(one))
    digest = _digest(conn, wanted, desk)
    for one in wanted:
        if one.state is QuarantineState.PREPARED and one.plan_digest == digest:
            raise QuarantineRefused(say.proposed_already(one))
    together = [one.quarantine_id for one in wanted]
    for one in wanted:
        _act(conn, one, "prepared", desk, reason=reason, together_with=together, plan_digest=digest)
    return held(conn, quarantine_ids=together)


def approve(conn: Connection, number: int, gates: Sequence[Gate], desk: Desk) -> list[LetThrough]:
    """Let through what another person has proposed, with everything proposed with it. Raises LookupError, QuarantineRefused."""
    first = find_held(conn, number)
    if first.gate not in gates:
        raise QuarantineRefused(say.another_command(first))
    if first.state in (QuarantineState.RELEASED, QuarantineState.OVERTAKEN):
        raise QuarantineRefused(say.decided_already(first))
    if first.state is not QuarantineState.PREPARED:
        raise QuarantineRefused(say.nobody_proposed(first))
    wanted = held(conn, quarantine_ids=first.together_with)
    for one in wanted:
        if one.prepared_by == desk.by.user:
            raise QuarantineRefused(say.same_person_releases(one, desk.by.user))
        if one.state is not QuarantineState.PREPARED or one.plan_digest != first.plan_digest:
            raise QuarantineRefused(say.changed_since(first))
    if _digest(conn, wanted, desk) != first.plan_digest:
        raise QuarantineRefused(say.changed_since(first))
    plan = _plan(conn, wanted, desk) if first.gate is Gate.RESTATED else None
    approvals = {}
    for one in wanted:
        assert one.prepared_by is not None  # noqa: S101  a proposal has a proposer
        event_no = _act(
            conn,
            one,
            "approved",
            desk,
            reason=one.proposal_reason or "",
            prepared_event_no=one.last_event_no,
            prepared_by=one.prepared_by,
            plan_digest=one.plan_digest,
        )
        approvals[one.quarantine_id] = Approval(event_no, one.prepared_by)
    if plan is None:
        return [_go_on(conn, one, desk) for one in wanted]
    try:
        put_in_force(conn, plan, approvals, by=desk.by, now=desk.now)
    except RestatingRefused as refused:
        raise QuarantineRefused(*refused.reasons) from refused
    return [LetThrough(one, StatementOutcome.COUNTED, ()) for one in held(conn, quarantine_ids=first.together_with)]


def reject(conn: Connection, number: int, desk: Desk, *, reason: str) -> Held:
    """Turn down what is held back, proposed or not, with a reason. Raises LookupError, QuarantineRefused."""
    one = find_held(conn, number)
    if one.state not in (QuarantineState.HELD, QuarantineState.PREPARED):
        raise QuarantineRefused(say.decided_already(one))
    if not reason.strip():
        raise QuarantineRefused(say.reason_wanted())
    _act(conn, one, "rejected", desk, reason=reason)
    return find_held(conn, number)


def account_of(one: Held, desk: Desk) -> CustodyAccountRef:
    """The custody account something held back would count for. Raises QuarantineRefused."""
    for ref in desk.directory.values():
        if ref.custody_account_id == one.held_account_id:
            return ref
    raise QuarantineRefused(say.no_account(one))


def _plan(conn: Connection, wanted: Sequence[Held], desk: Desk) -> Plan:
    ref = account_of(wanted[0], desk)
    if any(one.gate is not Gate.RESTATED or one.held_account_id != ref.custody_account_id for one in wanted):
        raise QuarantineRefused(say.one_account_at_once([one.quarantine_id for one in wanted]))
    lock_account(conn, ref)
    restatements = []
    for one in wanted:
        restatement = restatement_of(conn, ref, one, desk.profiles)
        if restatement is None:
            raise QuarantineRefused(say.nothing_to_replace(one))
        restatements.append(restatement)
    plan = plan_for(conn, ref, restatements)
    if plan.obstacles:
        raise QuarantineRefused(*plan.obstacles)
    return plan


def _digest(conn: Connection, wanted: Sequence[Held], desk: Desk) -> bytes:
    """SHA-256 of what letting these through would do."""
    if any(one.gate is Gate.RESTATED for one in wanted):
        return _plan(conn, wanted, desk).digest
    told = [[one.quarantine_id, one.statement_file_id, one.position_in_file, one.gate] for one in wanted]
    return hashlib.sha256(json.dumps(told).encode()).digest()


def _go_on(conn: Connection, one: Held, desk: Desk) -> LetThrough:
    ref = account_of(one, desk)
    lock_account(conn, ref)
    sender, _, reading = read_again(conn, one.statement_file_id, desk.profiles)
    receipt = take_on(
        conn,
        one.statement_file_id,
        one.position_in_file,
        reading,
        sender_bank=sender,
        ref=ref,
        directory=desk.directory,
        now=desk.now,
        actor=desk.by.user,
    )
    return LetThrough(find_held(conn, one.quarantine_id), receipt.outcome, receipt.reasons)


def _act(conn: Connection, one: Held, event: str, desk: Desk, *, reason: str, **facts: Any) -> int:
    with deciding(conn):
        number = add_event(conn, one, event, actor=desk.by.user, now=desk.now, reason=reason, **facts)
        audit.record(
            conn,
            now=desk.now,
            actor=desk.by.user,
            role=desk.by.role,
            act=f"intake:quarantine:{event}",
            object_kind="quarantine",
            object_id=str(one.quarantine_id),
            details={
                "gate": str(one.gate),
                "statement_file_id": one.statement_file_id,
                "account": one.account,
                "business_date": one.business_date,
                "reason": reason,
            },
        )
    return number


@dataclass(frozen=True, slots=True)
class RefusedForGood:
    """A statement nobody can let through: what is wrong is wrong in itself, and only another file mends it."""

    statement_file_id: int
    file_name: str
    sender_bank: str
    account: str | None
    business_date: date | None
    reasons: tuple[Reason, ...]
    held_account_id: int | None


def refused_for_good(conn: Connection, first: date, last: date) -> list[RefusedForGood]:
    """Statements refused whose file came in a period of days (UTC), newest first; files in which none could be read too."""
    rows = conn.execute(
        text(
            """
            SELECT f.statement_file_id, f.file_name, f.sender_bank, one ->> 'account' AS account,
                CAST(one ->> 'business_date' AS date) AS day,
                (SELECT jsonb_agg(finding) FROM jsonb_array_elements(r.findings) AS finding
                    WHERE one IS NULL AND finding ->> 'severity' = 'error') AS errors,
                one -> 'told' AS told, one -> 'reasons' AS reasons,
                CAST(one ->> 'custody_account_id' AS bigint) AS held_account_id
            FROM statement_file f JOIN statement_file_reading r USING (statement_file_id)
            LEFT JOIN LATERAL jsonb_array_elements(r.statements) AS one ON true
            WHERE f.received_at >= :first AND f.received_at < CAST(:last AS date) + 1
              AND (one IS NULL OR one ->> 'outcome' = 'refused')
            ORDER BY f.statement_file_id DESC
            """
        ),
        {"first": first, "last": last},
    )
    found = []
    for row in rows:
        errors = tuple(told(one["message"], one.get("message_zh")) for one in row.errors or ())
        reasons = errors or from_store(row.told, row.reasons)
        found.append(RefusedForGood(row[0], row[1], row[2], row[3], row[4], reasons, row.held_account_id))
    return found
