"""Which slots of a job were due between two instants: a function of passed-in times, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from calendars import BUSINESS_TIME_ZONE, WorkingCalendar


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """When a job runs: local time ``at`` (Asia/Shanghai), for the same business day or the one before."""

    job: str
    at: time
    for_previous_day: bool
    every_day: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """One due execution: the job, the business day it is for and the instant it is due (aware, Asia/Shanghai)."""

    job: str
    as_of: date
    due_at: datetime


def due_slots(jobs: tuple[ScheduledJob, ...], calendar: WorkingCalendar, since: datetime, until: datetime) -> Iterator[Slot]:
    """Slots with since < due_at <= until, oldest first; at one instant in the order the jobs are listed.

    Raises CalendarNotCovered when a job of working days meets a date past the calendar.
    """
    day = since.astimezone(BUSINESS_TIME_ZONE).date()
    last = until.astimezone(BUSINESS_TIME_ZONE).date()
    while day <= last:
        for scheduled in sorted(jobs, key=lambda item: item.at):
            due_at = datetime.combine(day, scheduled.at, BUSINESS_TIME_ZONE)
            as_of = day - timedelta(days=1) if scheduled.for_previous_day else day
            if since < due_at <= until and (scheduled.every_day or calendar.is_working_day(as_of)):
                yield Slot(scheduled.job, as_of, due_at)
        day += timedelta(days=1)
