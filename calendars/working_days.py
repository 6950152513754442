"""Working days by the State Council's yearly holiday notice, make-up weekends included.

A calendar is data with a last covered day. A date past it is refused, never guessed: a wrong working day moves money
on the wrong date.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: The business day of all books is a day in Shanghai; instants are stored in UTC.
BUSINESS_TIME_ZONE = ZoneInfo("Asia/Shanghai")


class CalendarNotCovered(LookupError):
    """The holiday calendar does not reach this date; load the State Council's notice for that year."""


def business_date(instant: datetime) -> date:
    """The business day (Asia/Shanghai) on which an aware instant falls. Raises ValueError for a naive instant."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone; instants must be aware")
    return instant.astimezone(BUSINESS_TIME_ZONE).date()


def start_of_business_date(day: date) -> datetime:
    """The UTC instant at which the business day begins in Shanghai."""
    return datetime.combine(day, time.min, BUSINESS_TIME_ZONE).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class WorkingCalendar:
    """Which days are worked: ``holidays`` are weekdays off, ``makeup_days`` weekend days worked (调休).

    ``covered_from`` .. ``covered_to`` (inclusive) is the span the notices cover.
    """

    name: str
    covered_from: date
    covered_to: date
    holidays: frozenset[date]
    makeup_days: frozenset[date]

    def is_working_day(self, day: date) -> bool:
        """Whether ``day`` is worked. Raises CalendarNotCovered outside the covered span."""
        if not self.covered_from <= day <= self.covered_to:
            raise CalendarNotCovered(
                f"the {self.name} calendar covers {self.covered_from} to {self.covered_to}, not {day}; "
                "add that year's holidays to config/calendars/"
            )
        if day in self.makeup_days:
            return True
        return day.weekday() < 5 and day not in self.holidays

    def add_working_days(self, day: date, count: int) -> date:
        """The ``count``-th working day after ``day`` (day itself not counted); for 0, day itself.

        The timeout of a request sent on Friday with 15 working days falls on the 15th working day after that Friday.
        """
        if count < 0:
            raise ValueError("count of working days must not be negative")
        while count:
            day += timedelta(days=1)
            if self.is_working_day(day):
                count -= 1
        return day

    def next_working_day(self, day: date) -> date:
        """The first working day after ``day``."""
        return self.add_working_days(day, 1)

    def looks_worked(self, day: date) -> bool:
        """Whether ``day`` is worked, as far as can be told: outside the covered span Monday to Friday are.

        For ages and tables that people read, which must not fail because one record lies past the calendar. No money is
        dated by it.
        """
        if self.covered_from <= day <= self.covered_to:
            return self.is_working_day(day)
        return day.weekday() < 5

    def working_days_between(self, start: date, end: date) -> int:
        """The age in working days: those after ``start`` up to and including ``end`` (``looks_worked``); 0 when not later."""
        return sum(self.looks_worked(start + timedelta(days=n)) for n in range(1, (end - start).days + 1))
