"""What becomes of discrepancies: opened, worked on, resolved, cleared. States are read from events (view discrepancy_state)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from reconciliation.discrepancy import (
    CONDITION_KINDS,
    Act,
    Discrepancy,
    DiscrepancyEvent,
    DiscrepancyKind,
    DiscrepancyRecord,
    DiscrepancyState,
    EventKind,
    Proposal,
)
from reconciliation.matching.outcome import discrepancy_id
from reconciliation.model import CustodyAccountRef
from reconciliation.superseding import supersede
from reconciliation.wording import found_afterwards


def condition_id(kind: DiscrepancyKind, ref: CustodyAccountRef, key: str) -> str:
    """The id of a discrepancy that is about a day, a file or a figure rather than a line or an item."""
    return discrepancy_id(str(kind), (), (f"{ref.custody_account_id}/{key}",))


def records(
    conn: Connection,
    *,
    custody_account_id: int | None = None,
    institution_id: int | None = None,
    discrepancy_ids: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    states: Sequence[DiscrepancyState] | None = None,
    since_until: date | None = None,
    on: date | None = None,
) -> list[DiscrepancyRecord]:
    """Discrepancies by account, day and id; those that date from ``since_until`` or before, or from exactly ``on``.

    Twins in the books (DUPLICATE_LEDGER) are known by their items alone; their lines are those the newest run saw.
    """
    given = {
        "account": custody_account_id,
        "institution": institution_id,
        "ids": list(discrepancy_ids) if discrepancy_ids is not None else None,
        "kinds": list(kinds) if kinds is not None else None,
        "states": [str(state) for state in states] if states is not None else None,
        "until": since_until,
        "on": on,
    }
    rows = conn.execute(text(_RECORDS.format(lines_now="CAST(NULL AS text)")), given).all()
    if any(row.kind == str(DiscrepancyKind.DUPLICATE_LEDGER) for row in rows):  # only then: a bank may not see runs
        rows = conn.execute(text(_RECORDS.format(lines_now=_LINES_NOW)), given).all()
    return [_record(row) for row in rows]


_RECORDS = """
    SELECT s.*, {lines_now} AS lines_now FROM discrepancy_state s
    WHERE (CAST(:account AS bigint) IS NULL OR custody_account_id = :account)
      AND (CAST(:institution AS integer) IS NULL OR institution_id = :institution)
      AND (CAST(:ids AS text[]) IS NULL OR discrepancy_id = ANY (:ids))
      AND (CAST(:kinds AS text[]) IS NULL OR kind = ANY (:kinds))
      AND (CAST(:states AS text[]) IS NULL OR state = ANY (:states))
      AND (CAST(:until AS date) IS NULL OR since <= :until)
      AND (CAST(:on AS date) IS NULL OR since = :on)
    ORDER BY custody_account_id, since, kind, discrepancy_id
"""

_LINES_NOW = """
    CASE WHEN kind = 'DUPLICATE_LEDGER' THEN (
        SELECT r.line_ids FROM run_discrepancy r
        WHERE r.institution_id = s.institution_id AND r.discrepancy_id = s.discrepancy_id
        ORDER BY r.run_id DESC LIMIT 1
    ) END
"""


def open_as_known(conn: Connection, custody_account_id: int, known_at: datetime) -> list[Discrepancy]:
    """Discrepancies of an account that stood open at an instant, as far as was recorded by then.

    Decided as in the view discrepancy_state, from the events recorded by then. Twins in the books are told with the lines the
    newest run recorded by then saw, as in ``records``.
    """
    rows = conn.execute(
        text(
            """
            SELECT d.*, CASE WHEN d.kind = 'DUPLICATE_LEDGER' THEN (
                    SELECT r.line_ids FROM run_discrepancy r
                    WHERE r.institution_id = d.institution_id AND r.discrepancy_id = d.discrepancy_id
                      AND r.recorded_at <= :known_at
                    ORDER BY r.run_id DESC LIMIT 1
                ) END AS lines_now
            FROM discrepancy d CROSS JOIN LATERAL (
                SELECT e.event FROM discrepancy_event e
                WHERE e.institution_id = d.institution_id AND e.discrepancy_id = d.discrepancy_id
                  AND e.event NOT IN ('assigned', 'commented') AND e.recorded_at <= :known_at
                ORDER BY e.event_no DESC LIMIT 1
            ) s
            WHERE d.custody_account_id = :account AND s.event NOT IN ('approved', 'auto_cleared')
            ORDER BY d.since, d.kind, d.discrepancy_id
            """
        ),
        {"account": custody_account_id, "known_at": known_at},
    )
    return [_discrepancy(row) for row in rows]


def find_record(conn: Connection, prefix: str) -> DiscrepancyRecord:
    """The discrepancy whose id begins with ``prefix`` (at least 6 characters). Raises LookupError: none, or several."""
    ids = conn.execute(
        text("SELECT discrepancy_id FROM discrepancy WHERE starts_with(discrepancy_id, :prefix) ORDER BY 1 LIMIT 3"),
        {"prefix": prefix.lower()},
    ).scalars()
    found = list(ids)
    if len(prefix) < _SHORTEST_PREFIX or not found:
        raise LookupError(f"no discrepancy {prefix!r}; escrow discrepancy list shows their ids (at least 6 characters)")
    if len(found) > 1:
        raise LookupError(f"{prefix!r} begins several ids; give more characters")
    return records(conn, discrepancy_ids=found)[0]


_SHORTEST_PREFIX = 6


def _discrepancy(row: Any) -> Discrepancy:
    return Discrepancy(
        discrepancy_id=row.discrepancy_id,
        institution_id=row.institution_id,
        custody_account_id=row.custody_account_id,
        kind=DiscrepancyKind(row.kind),
        since=row.since,
        currency=row.currency,
        amount_minor_units=int(row.amount_minor_units),
        difference_minor_units=int(row.difference_minor_units),
        line_ids=tuple(row.line_ids) if row.lines_now is None else tuple(filter(None, row.lines_now.split("|"))),
        item_ids=tuple(str(item) for item in row.item_ids),
        explanation=row.explanation,
    )


def _record(row: Any) -> DiscrepancyRecord:
    proposal = None
    if row.state == "prepared":
        proposal = Proposal(
            row.proposal_event_no, Act(row.act), tuple(row.proposed_item_ids or ()), row.prepared_by, row.proposal_reason or ""
        )
    return DiscrepancyRecord(
        discrepancy=_discrepancy(row),
        state=DiscrepancyState(row.state),
        owner=row.owner,
        proposal=proposal,
        last_event_no=row.last_event_no,
        state_on=row.state_on,
        act=Act(row.act) if row.act else None,
        acted_by=row.acted_by,
        prepared_by=row.prepared_by,
        reason=row.proposal_reason or row.reason,
    )


def events_of(conn: Connection, institution_id: int, discrepancy_id_: str) -> list[DiscrepancyEvent]:
    """The history of a discrepancy, oldest first."""
    rows = conn.execute(
        text(
            """
            SELECT event_no, event, event_at, actor, owner, act, reason, prepared_by FROM discrepancy_event
            WHERE institution_id = :institution AND discrepancy_id = :id ORDER BY event_no
            """
        ),
        {"institution": institution_id, "id": discrepancy_id_},
    )
    return [DiscrepancyEvent(row[0], EventKind(row[1]), *row[2:]) for row in rows]


def add_event(
    conn: Connection,
    record_: DiscrepancyRecord | tuple[int, str, int],
    event: EventKind,
    *,
    now: datetime,
    business_date: date,
    actor: str,
    **facts: Any,
) -> int:
    """Add one event after the last one; returns its number. Two at once: the second fails on the primary key."""
    if isinstance(record_, DiscrepancyRecord):
        one = record_.discrepancy
        institution, identity, last = one.institution_id, one.discrepancy_id, record_.last_event_no
    else:
        institution, identity, last = record_
    conn.execute(_INSERT_EVENT, [_event(institution, identity, last + 1, event, now, business_date, actor, facts)])
    return last + 1


def _event(  # noqa: PLR0917 - a row, column by column
    institution: int, identity: str, number: int, event: EventKind, now: datetime, day: date, actor: str, facts: Mapping[str, Any]
) -> dict[str, Any]:
    row = {
        "institution": institution,
        "id": identity,
        "event_no": number,
        "event": str(event),
        "now": now,
        "day": day,
        "actor": actor,
    }
    return row | {
        name: facts.get(name) for name in ("owner", "act", "item_ids", "reason", "prepared_event_no", "prepared_by", "run_id")
    }


_INSERT_EVENT = text(
    """
    INSERT INTO discrepancy_event (institution_id, discrepancy_id, event_no, event, event_at, business_date, actor, owner, act,
        item_ids, reason, prepared_event_no, prepared_by, run_id)
    VALUES (:institution, :id, :event_no, :event, :now, :day, :actor, :owner, :act, CAST(:item_ids AS uuid[]), :reason,
        :prepared_event_no, :prepared_by, :run_id)
    """
)

_INSERT_DISCREPANCY = text(
    """
    INSERT INTO discrepancy (institution_id, discrepancy_id, custody_account_id, kind, since, currency, amount_minor_units,
        difference_minor_units, line_ids, item_ids, statement_file_id, explanation)
    VALUES (:institution, :id, :account, :kind, :since, :currency, :amount, :difference, :lines, CAST(:items AS uuid[]), :file,
        :explanation)
    """
)


def record_found(
    conn: Connection,
    found: Sequence[Discrepancy],
    *,
    now: datetime,
    business_date: date,
    actor: str,
    run_id: int | None = None,
    statement_file_id: int | None = None,
) -> tuple[list[Discrepancy], list[Discrepancy]]:
    """Record discrepancies found now; returns those opened for the first time and those opened again.

    One that is open stays as it is. One that had cleared is opened again, and so is one that was resolved although a line or
    an item of it is still open. A condition that two persons explained stays explained.
    A signed-off day it dates from, and every later one, is open again: its sign-off is superseded.
    """
    known = {one.discrepancy.discrepancy_id: one for one in records(conn, discrepancy_ids=[d.discrepancy_id for d in found])}
    opened = [one for one in found if one.discrepancy_id not in known]
    again = [one for one in found if one.discrepancy_id in known and _opens_again(known[one.discrepancy_id])]
    if opened:
        conn.execute(_INSERT_DISCREPANCY, [_row(one, statement_file_id) for one in opened])
    rows = [
        _event(one.institution_id, one.discrepancy_id, 1, EventKind.OPENED, now, business_date, actor, {"run_id": run_id})
        for one in opened
    ]
    rows += [
        _event(
            one.institution_id,
            one.discrepancy_id,
            known[one.discrepancy_id].last_event_no + 1,
            EventKind.REOPENED,
            now,
            business_date,
            actor,
            {"run_id": run_id, "reason": one.explanation},
        )
        for one in again
    ]
    if rows:
        conn.execute(_INSERT_EVENT, rows)
    for one in (*opened, *again):
        if one.kind is DiscrepancyKind.DUPLICATE_FILE:  # the same statement again says nothing new
            continue
        # A figure found again is wrong on the day of the run; a line, item or file belongs to its own day.
        day = business_date if one in again and one.kind in CONDITION_KINDS else one.since
        ids = (one.institution_id, one.custody_account_id)
        supersede(conn, *ids, day, reason=found_afterwards(one), now=now, actor=actor)
    return opened, again


def _opens_again(known: DiscrepancyRecord) -> bool:
    if known.state is DiscrepancyState.RESOLVED:
        return bool(known.discrepancy.line_ids or known.discrepancy.item_ids)
    return known.state is DiscrepancyState.CLEARED


def _row(one: Discrepancy, statement_file_id: int | None) -> dict[str, Any]:
    return {
        "institution": one.institution_id,
        "id": one.discrepancy_id,
        "account": one.custody_account_id,
        "kind": str(one.kind),
        "since": one.since,
        "currency": one.currency,
        "amount": one.amount_minor_units,
        "difference": one.difference_minor_units,
        "lines": list(one.line_ids),
        "items": list(one.item_ids),
        "file": statement_file_id,
        "explanation": one.explanation,
    }


def clear_explained(
    conn: Connection,
    ref: CustodyAccountRef,
    still_found: set[str],
    *,
    now: datetime,
    business_date: date,
    actor: str,
    run_id: int,
) -> list[str]:
    """Clear open discrepancies about lines, items and figures that this run no longer finds; returns their ids."""
    gone = [
        one
        for one in records(
            conn,
            institution_id=ref.institution_id,
            custody_account_id=ref.custody_account_id,
            states=[DiscrepancyState.OPEN, DiscrepancyState.PREPARED],
            since_until=business_date,
        )
        if one.discrepancy.discrepancy_id not in still_found
        and one.discrepancy.kind is not DiscrepancyKind.STATEMENT_MISSING
        and (one.discrepancy.line_ids or one.discrepancy.item_ids or one.discrepancy.kind in CONDITION_KINDS)
    ]
    for one in gone:
        reason = f"no longer found by the run of {business_date}: later data explains it"
        add_event(
            conn, one, EventKind.AUTO_CLEARED, now=now, business_date=business_date, actor=actor, reason=reason, run_id=run_id
        )
    return [one.discrepancy.discrepancy_id for one in gone]


def clear_condition(conn: Connection, identity: str, *, now: datetime, business_date: date, actor: str, reason: str) -> bool:
    """Clear one discrepancy if it is open; returns whether it was."""
    found = records(conn, discrepancy_ids=[identity], states=[DiscrepancyState.OPEN, DiscrepancyState.PREPARED])
    for one in found:
        add_event(conn, one, EventKind.AUTO_CLEARED, now=now, business_date=business_date, actor=actor, reason=reason)
    return bool(found)
