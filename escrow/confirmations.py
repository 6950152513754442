"""Deem class-hours confirmed where the payer stayed silent past the policy's working days."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection, text

from calendars import CalendarNotCovered, WorkingCalendar
from escrow.policy import PolicyBook
from escrow.staging import stage, take_turn

_SILENT = """
    FROM class_hour_event t
    JOIN prepayment p USING (institution_id, order_id)
    LEFT JOIN class_hour_event w ON w.institution_id = t.institution_id AND w.order_id = t.order_id
        AND w.class_hour_no = t.class_hour_no AND w.event = 'dispute_withdrawn'
    {deadlines}
    WHERE t.event = 'taught' AND t.event_on <= :as_of
        AND NOT EXISTS (
            SELECT FROM class_hour_event c
            WHERE c.institution_id = t.institution_id AND c.order_id = t.order_id AND c.class_hour_no = t.class_hour_no
                AND c.event IN ('confirmed', 'deemed_confirmed'))
        AND (w.event IS NOT NULL OR NOT EXISTS (
            SELECT FROM class_hour_event c
            WHERE c.institution_id = t.institution_id AND c.order_id = t.order_id AND c.class_hour_no = t.class_hour_no
                AND c.event = 'disputed'))
"""
_WAITING = f"SELECT DISTINCT p.jurisdiction_code, t.event_on {_SILENT.format(deadlines='')}"
_STAGED = "JOIN staged_deadline d ON d.jurisdiction_code = p.jurisdiction_code AND d.taught_on = t.event_on"
_DEEM = f"""
    INSERT INTO class_hour_event
        (institution_id, order_id, class_hour_no, event, event_at, event_on, reported_by, content_digest)
    SELECT s.institution_id, s.order_id, s.class_hour_no, 'deemed_confirmed',
        greatest(s.deemed_on::timestamp AT TIME ZONE 'Asia/Shanghai', s.withdrawn_at), s.deemed_on, 'system',
        sha256(convert_to(concat_ws('|', s.institution_id, s.order_id, s.class_hour_no, s.deemed_on), 'UTF8'))
    FROM (
        SELECT t.institution_id, t.order_id, t.class_hour_no, w.event_at AS withdrawn_at,
            greatest(d.deadline, w.event_on) AS deemed_on
        {_SILENT.format(deadlines=_STAGED)}
    ) s
    WHERE s.deemed_on <= :as_of
    ORDER BY s.institution_id, s.order_id, s.class_hour_no
"""


def deem_confirmations(conn: Connection, as_of: date, *, policies: PolicyBook, calendar: WorkingCalendar) -> int:
    """Record ``deemed_confirmed`` by 'system' for every class-hour whose payer was silent too long; how many are new.

    The deadline is the policy's count of working days after the day it was taught, by the policy in force that day at the
    prepayment's place. A dispute stops it; a withdrawn dispute does not start it again. Safe to repeat. Raises
    CalendarNotCovered when the calendar does not reach ``as_of``.
    """
    take_turn(conn)
    calendar.is_working_day(as_of)
    waiting = conn.execute(text(_WAITING), {"as_of": as_of}).all()
    deadlines = []
    for jurisdiction_code, taught_on in sorted(tuple(row) for row in waiting):
        days = policies.policy_for(jurisdiction_code, taught_on).release.deemed_after_working_days
        deadline = deadline_of_silence(calendar, taught_on, days)
        if deadline is not None and deadline <= as_of:
            deadlines.append((jurisdiction_code, taught_on, deadline))
    stage(conn, "staged_deadline", {"jurisdiction_code": "text", "taught_on": "date", "deadline": "date"}, deadlines)
    return conn.execute(text(_DEEM), {"as_of": as_of}).rowcount


def deadline_of_silence(calendar: WorkingCalendar, start: date, working_days: int) -> date | None:
    """The day silence that began on ``start`` counts as consent; None when it lies past the calendar's last day.

    Raises CalendarNotCovered when ``start`` lies before the calendar's first day.
    """
    try:
        return calendar.add_working_days(start, working_days)
    except CalendarNotCovered:
        if start < calendar.covered_from:
            raise
        return None
