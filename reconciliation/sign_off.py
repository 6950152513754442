"""A second person's dated acceptance of a day: prepared by one, approved by another, reopened by two again.

A day is refused while anything through it is open, an earlier day included; every reason is named, with what takes it away.
What arrives or is found afterwards supersedes a sign-off (``superseding.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

from calendars import WorkingCalendar, business_date
from reconciliation import wording
from reconciliation.discrepancy import DiscrepancyState
from reconciliation.discrepancy_store import records
from reconciliation.intake_store import lock_account, waiting_statements
from reconciliation.model import CustodyAccountRef
from reconciliation.resolving import Actor
from reconciliation.run_store import counted_statements, counts_after, latest_run, restated_since
from reconciliation.superseding import supersede
from reconciliation.wording import clock
from storage import audit
from wording import Refused, Said


class SignOffRefused(Refused):
    """A day cannot be signed off (or reopened) now; ``reasons`` names every one."""

    def __init__(self, ref: CustodyAccountRef, day: date, *reasons: Said) -> None:
        super().__init__(*reasons)
        self.args = (f"{ref.account_number} {day}: {self.args[0]}",)


@dataclass(frozen=True, slots=True)
class SignOff:
    """Where the sign-off of an account and day stands: open, prepared or signed_off; ``run_id`` is the run accepted.

    ``superseded``: why a sign-off that stood before counts no longer, and when that was found (Shanghai time).
    """

    state: str
    last_event: str
    last_event_no: int
    run_id: int | None
    prepared_by: str | None
    prepared_event_no: int | None
    approved_by: str | None
    at: datetime | None
    reason: str | None = None
    superseded: str | None = None


def sign_off_of(conn: Connection, ref: CustodyAccountRef, day: date) -> SignOff:
    """Where the sign-off of an account and day stands."""
    row = conn.execute(
        text(
            """
            SELECT * FROM sign_off_state
            WHERE institution_id = :institution AND custody_account_id = :account AND business_date = :day
            """
        ),
        _keys(ref, day),
    ).one_or_none()
    if row is None:
        return SignOff("open", "", 0, None, None, None, None, None)
    proposing = row.event in ("prepared", "reopen_prepared")
    signed = row
    if row.event == "reopen_prepared":
        signed = conn.execute(
            text(
                """
                SELECT * FROM sign_off_event WHERE institution_id = :institution AND custody_account_id = :account
                  AND business_date = :day AND event = 'approved' ORDER BY event_no DESC LIMIT 1
                """
            ),
            _keys(ref, day),
        ).one()
    return SignOff(
        state=row.state,
        last_event=row.event,
        last_event_no=row.event_no,
        run_id=signed.run_id,
        prepared_by=row.actor if proposing else row.prepared_by,
        prepared_event_no=row.event_no if proposing else row.prepared_event_no,
        approved_by=signed.actor if signed.event == "approved" else None,
        at=signed.event_at,
        reason=row.reason,
        superseded=f"{clock(row.event_at)}: {row.reason}" if row.event == "superseded" else None,
    )


def what_stands_against(
    conn: Connection, ref: CustodyAccountRef, day: date, *, calendar: WorkingCalendar, now: datetime
) -> tuple[Said, ...]:
    """Every reason why a day may not be signed off now, each with what takes it away; empty when it may."""
    reasons: list[Said] = []
    today = business_date(now)
    if day > today:
        reasons.append(wording.future_day(day, today))
    newest = counted_statements(conn, ref, day)
    through = newest[0].business_date if newest else None
    if calendar.is_working_day(day) and through != day and not counts_after(conn, ref, day):
        reasons.append(wording.statement_missing(ref, day, through))
    reasons += [
        wording.statement_waits(ref, waiting.link.business_date)
        for waiting in waiting_statements(conn, ref)
        if waiting.link.business_date <= day
    ]
    run = latest_run(conn, ref, day)
    if run is None:
        reasons.append(wording.never_reconciled(day))
    elif (
        (newest and run.statement_id != newest[0].statement_id)
        or _newer_items(conn, ref, day, run.run_id)
        or restated_since(conn, ref, day, run.run_id)
    ):
        reasons.append(wording.run_outdated(day))
    earlier = first_day_not_signed(conn, ref, day, calendar)
    if earlier is not None:
        reasons.append(wording.earlier_day_not_signed(ref, earlier, sign_off_of(conn, ref, earlier).state))
    reasons += [
        wording.discrepancy_open(one.discrepancy, one.state, one.prepared_by)
        for one in records(
            conn,
            custody_account_id=ref.custody_account_id,
            states=[DiscrepancyState.OPEN, DiscrepancyState.PREPARED],
            since_until=day,
        )
    ]
    return tuple(reasons)


def first_day_not_signed(conn: Connection, ref: CustodyAccountRef, day: date, calendar: WorkingCalendar) -> date | None:
    """The first day before ``day`` that must be signed off before it and is not; None when there is none.

    A day is signed off only when everything received through it is (DESIGN.md invariant 11): every working day since the
    account's first statement or run, and every other day with a statement.
    """
    days = conn.execute(
        text(
            """
            SELECT business_date, max(source) AS has_statement FROM (
                SELECT business_date, 1 AS source FROM statement_counted
                WHERE institution_id = :institution AND custody_account_id = :account AND business_date < :day
                UNION ALL SELECT business_date, 0 FROM reconciliation_run
                WHERE institution_id = :institution AND custody_account_id = :account AND business_date < :day
            ) AS known GROUP BY business_date
            """
        ),
        _keys(ref, day),
    ).all()
    if not days:
        return None
    with_statement = {row.business_date for row in days if row.has_statement}
    signed = set(
        conn.execute(
            text(
                """
                SELECT business_date FROM sign_off_state WHERE institution_id = :institution AND custody_account_id = :account
                  AND business_date < :day AND state = 'signed_off'
                """
            ),
            _keys(ref, day),
        ).scalars()
    )
    first: date = min(row.business_date for row in days)
    for one in (first + timedelta(days=n) for n in range((day - first).days)):
        if one not in signed and (one in with_statement or calendar.is_working_day(one)):
            return one
    return None


def _newer_items(conn: Connection, ref: CustodyAccountRef, day: date, run_id: int) -> bool:
    """Whether items of the day were written after the run, other than those a reversal opened again."""
    return bool(
        conn.execute(
            text(
                """
                SELECT EXISTS (
                    SELECT FROM open_item i JOIN reconciliation_run r ON r.institution_id = i.institution_id AND r.run_id = :run
                    LEFT JOIN open_item_clearing k ON k.institution_id = i.institution_id AND k.item_id = i.item_id
                    WHERE i.institution_id = :institution AND i.custody_account_id = :account AND i.booking_date <= :day
                      AND i.due_date < :day AND k.item_id IS NULL AND i.original_item_id IS NULL
                      AND i.recorded_at > r.recorded_at
                )
                """
            ),
            {**_keys(ref, day), "run": run_id},
        ).scalar_one()
    )


def prepare_sign_off(
    conn: Connection, ref: CustodyAccountRef, day: date, *, by: Actor, calendar: WorkingCalendar, now: datetime
) -> SignOff:
    """Propose a day for sign-off. Raises SignOffRefused with every reason."""
    lock_account(conn, ref)
    standing = sign_off_of(conn, ref, day)
    run = latest_run(conn, ref, day)
    outdated = standing.last_event == "prepared" and run is not None and run.run_id != standing.run_id
    if standing.state != "open" and not outdated:
        raise SignOffRefused(ref, day, _already(ref, day, standing))
    reasons = what_stands_against(conn, ref, day, calendar=calendar, now=now)
    if reasons:
        raise SignOffRefused(ref, day, *reasons)
    assert run is not None  # noqa: S101  a day without a run has been refused
    return _event(conn, ref, day, standing, "prepared", by=by, now=now, run_id=run.run_id)


def approve_sign_off(
    conn: Connection, ref: CustodyAccountRef, day: date, *, by: Actor, calendar: WorkingCalendar, now: datetime
) -> SignOff:
    """Accept a day another person has prepared. Everything is checked again. Raises SignOffRefused with every reason."""
    lock_account(conn, ref)
    standing = sign_off_of(conn, ref, day)
    if standing.last_event != "prepared":
        signed = standing.state == "signed_off"
        raise SignOffRefused(
            ref, day, _already(ref, day, standing) if signed else wording.nobody_prepared(ref, day, standing.superseded)
        )
    reasons = list(what_stands_against(conn, ref, day, calendar=calendar, now=now))
    if standing.prepared_by == by.user:
        reasons.insert(0, wording.same_person(ref, day, by.user))
    run = latest_run(conn, ref, day)
    if run is not None and run.run_id != standing.run_id:
        reasons.append(wording.reconciled_after(ref, day, standing.prepared_by))
    if reasons:
        raise SignOffRefused(ref, day, *reasons)
    return _event(
        conn,
        ref,
        day,
        standing,
        "approved",
        by=by,
        now=now,
        run_id=standing.run_id,
        prepared_event_no=standing.prepared_event_no,
        prepared_by=standing.prepared_by,
    )


def prepare_reopening(conn: Connection, ref: CustodyAccountRef, day: date, *, by: Actor, now: datetime, reason: str) -> SignOff:
    """Propose to open a signed-off day again. Raises SignOffRefused."""
    lock_account(conn, ref)
    standing = sign_off_of(conn, ref, day)
    if standing.last_event == "reopen_prepared":
        raise SignOffRefused(ref, day, _already(ref, day, standing))
    if standing.last_event != "approved":
        raise SignOffRefused(ref, day, wording.not_signed_off(ref, day))
    if not reason.strip():
        raise SignOffRefused(ref, day, wording.reopening_needs_reason())
    return _event(conn, ref, day, standing, "reopen_prepared", by=by, now=now, reason=reason)


def reopen(conn: Connection, ref: CustodyAccountRef, day: date, *, by: Actor, now: datetime) -> SignOff:
    """Open a signed-off day and all later ones again, as another person has proposed; history stays. Raises SignOffRefused."""
    lock_account(conn, ref)
    standing = sign_off_of(conn, ref, day)
    if standing.last_event != "reopen_prepared":
        raise SignOffRefused(ref, day, wording.no_reopening_proposed(ref, day))
    if standing.prepared_by == by.user:
        raise SignOffRefused(ref, day, wording.same_person_reopens(ref, day, by.user))
    opened = _event(
        conn,
        ref,
        day,
        standing,
        "reopened",
        by=by,
        now=now,
        reason=standing.reason,
        prepared_event_no=standing.prepared_event_no,
        prepared_by=standing.prepared_by,
    )
    ids = (ref.institution_id, ref.custody_account_id)
    why = wording.earlier_reopened(day, standing.reason)
    supersede(conn, *ids, day + timedelta(days=1), reason=why, now=now, actor=by.user)
    return opened


def _already(ref: CustodyAccountRef, day: date, standing: SignOff) -> Said:
    if standing.last_event == "prepared":
        return wording.prepared_already(ref, day, standing.prepared_by, standing.at)
    if standing.last_event == "reopen_prepared":
        return wording.reopening_waits(ref, day, standing.prepared_by, standing.reason)
    return wording.signed_already(ref, day, standing.prepared_by, standing.approved_by, standing.at)


def _event(
    conn: Connection,
    ref: CustodyAccountRef,
    day: date,
    standing: SignOff,
    event: str,
    *,
    by: Actor,
    now: datetime,
    run_id: int | None = None,
    reason: str | None = None,
    prepared_event_no: int | None = None,
    prepared_by: str | None = None,
) -> SignOff:
    conn.execute(
        text(
            """
            INSERT INTO sign_off_event (institution_id, custody_account_id, business_date, event_no, event, event_at, actor,
                run_id, reason, prepared_event_no, prepared_by)
            VALUES (:institution, :account, :day, :number, :event, :now, :actor, :run, :reason, :prepared_event_no, :prepared_by)
            """
        ),
        {
            **_keys(ref, day),
            "number": standing.last_event_no + 1,
            "event": event,
            "now": now,
            "actor": by.user,
            "run": run_id,
            "reason": reason,
            "prepared_event_no": prepared_event_no,
            "prepared_by": prepared_by,
        },
    )
    audit.record(
        conn,
        now=now,
        actor=by.user,
        role=by.role,
        act=f"reconciliation:sign_off:{event}",
        object_kind="sign_off",
        object_id=f"{ref.custody_account_id}/{day}",
        details={"account": ref.account_number, "business_date": day, "run_id": run_id, "reason": reason},
    )
    return sign_off_of(conn, ref, day)


def _keys(ref: CustodyAccountRef, day: date) -> dict[str, object]:
    return {"institution": ref.institution_id, "account": ref.custody_account_id, "day": day}
