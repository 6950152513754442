"""The simulated days: every calendar day from the start to the N-th working day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from calendars import CalendarNotCovered, WorkingCalendar


class SimulationRefused(ValueError):
    """These arguments describe no district; the message says which and what to change."""


@dataclass(frozen=True, slots=True)
class Span:
    """``days`` are all calendar days in order; ``working`` those that are worked."""

    days: tuple[date, ...]
    working: frozenset[date]

    @property
    def start(self) -> date:
        return self.days[0]

    @property
    def end(self) -> date:
        return self.days[-1]

    def first_working_day_from(self, day: date) -> date | None:
        """``day`` itself when worked, else the next worked day; None when that lies past the span."""
        while day <= self.end:
            if day in self.working:
                return day
            day += timedelta(days=1)
        return None

    def working_day_after(self, day: date) -> date | None:
        """The first worked day after ``day``; None when that lies past the span."""
        return self.first_working_day_from(day + timedelta(days=1))


def span_of(start: date, working_days: int, calendar: WorkingCalendar) -> Span:
    """The span of ``working_days`` worked days beginning with ``start``. Raises SimulationRefused past the calendar."""
    if working_days < 1:
        raise SimulationRefused(f"--days must be at least 1 working day, not {working_days}")
    days: list[date] = []
    working: set[date] = set()
    day = start
    try:
        while len(working) < working_days:
            days.append(day)
            if calendar.is_working_day(day):
                working.add(day)
            day += timedelta(days=1)
    except CalendarNotCovered as problem:
        raise SimulationRefused(f"{working_days} working days from {start} leave the calendar: {problem}") from problem
    return Span(tuple(days), frozenset(working))
