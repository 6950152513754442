"""The act of noticing that a bank's deadline has passed: one discrepancy an account and day, and why it was opened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

from calendars import WorkingCalendar
from reconciliation.arrivals import came, supervised_since
from reconciliation.calendar_wording import local
from reconciliation.discrepancy import Discrepancy, DiscrepancyKind
from reconciliation.discrepancy_store import condition_id, record_found
from reconciliation.intake_store import last_counted, lock_account
from reconciliation.model import CustodyAccountRef
from reconciliation.statement_calendar import CalendarDay, DayState, StatementRules, calendar_of


def overdue_days(
    conn: Connection, ref: CustodyAccountRef, through: date, *, rules: StatementRules, calendar: WorkingCalendar, now: datetime
) -> list[CalendarDay]:
    """The days through ``through`` whose statement the bank still owes past its deadline, oldest first.

    Only days after the newest that counts: a statement that counts continues everything before it. An account of which no
    statement and no run is known is not under supervision yet.
    """
    since = supervised_since(conn, ref)
    if since is None:
        return []
    last = last_counted(conn, ref)
    first = max(since, last[1].business_date + timedelta(days=1)) if last is not None else since
    arrived = came(conn, ref, first, date.max)
    return [one for one in calendar_of(rules, calendar, ref, arrived, first, through, now=now, since=since) if one.overdue]


def notice_overdue(
    conn: Connection,
    ref: CustodyAccountRef,
    through: date,
    *,
    rules: StatementRules,
    calendar: WorkingCalendar,
    now: datetime,
    actor: str,
) -> tuple[list[CalendarDay], list[Discrepancy]]:
    """Record every deadline of an account that has passed; returns those days, and the discrepancies opened for them.

    The discrepancy is the one a run of the day opens: the same id, so neither doubles the other. It clears when the
    statement counts or a later one continues the balance. Running twice changes nothing. Signed-off days from the oldest on are
    open again.
    """
    lock_account(conn, ref)
    days = overdue_days(conn, ref, through, rules=rules, calendar=calendar, now=now)
    opened: list[Discrepancy] = []
    for one in days:
        assert one.deadline is not None  # noqa: S101  what is overdue has a deadline that passed
        found = _missing(ref, one, one.deadline)
        new, again = record_found(conn, [found], now=now, business_date=one.day, actor=actor)
        opened += new + again
        _record(conn, ref, one, one.deadline, found.discrepancy_id, rules.version, now=now, actor=actor)
    return days, opened


def missing_id(ref: CustodyAccountRef, day: date) -> str:
    """The id of the discrepancy about a day's missing statement."""
    return condition_id(DiscrepancyKind.STATEMENT_MISSING, ref, str(day))


def _missing(ref: CustodyAccountRef, one: CalendarDay, deadline: datetime) -> Discrepancy:
    what = "was refused" if one.state is DayState.REFUSED else "has not come"
    return Discrepancy(
        missing_id(ref, one.day),
        ref.institution_id,
        ref.custody_account_id,
        DiscrepancyKind.STATEMENT_MISSING,
        one.day,
        ref.currency,
        0,
        0,
        (),
        (),
        f"the statement of {ref.account_number} for {one.day} {what}; it was due until {local(deadline)} (Shanghai)",
    )


def _record(  # noqa: PLR0917 - one row
    conn: Connection,
    ref: CustodyAccountRef,
    one: CalendarDay,
    deadline: datetime,
    discrepancy_id: str,
    rules_version: str,
    *,
    now: datetime,
    actor: str,
) -> None:
    conn.execute(
        text(
            """
            INSERT INTO statement_overdue (institution_id, custody_account_id, business_date, discrepancy_id, state, deadline_at,
                noticed_at, rules_version, actor)
            VALUES (:institution, :account, :day, :discrepancy, :state, :deadline, :now, :rules_version, :actor)
            ON CONFLICT DO NOTHING
            """
        ),
        {
            "institution": ref.institution_id,
            "account": ref.custody_account_id,
            "day": one.day,
            "discrepancy": discrepancy_id,
            "state": str(one.state),
            "deadline": deadline,
            "now": now,
            "rules_version": rules_version,
            "actor": actor,
        },
    )


#: What verification asks of the deadlines: (table, SQL selecting row and what).
QUESTIONS: Sequence[tuple[str, str]] = (
    (
        "statement_overdue",
        """
        SELECT 'institution ' || o.institution_id || ', account ' || o.custody_account_id || ', day ' || o.business_date,
            CASE WHEN c.statement_id IS NOT NULL THEN 'a statement for that day or a later one counted when it was noticed'
                ELSE 'discrepancy ' || o.discrepancy_id || ' is not about that account and day' END
        FROM statement_overdue o
        JOIN discrepancy d USING (institution_id, discrepancy_id)
        LEFT JOIN LATERAL (
            SELECT c.statement_id FROM statement_counted c
            WHERE c.institution_id = o.institution_id AND c.custody_account_id = o.custody_account_id
                AND c.business_date >= o.business_date AND c.recorded_at < o.recorded_at LIMIT 1
        ) c ON true
        WHERE c.statement_id IS NOT NULL OR d.kind <> 'STATEMENT_MISSING'
            OR (d.custody_account_id, d.since) <> (o.custody_account_id, o.business_date)
        """,
    ),
)
