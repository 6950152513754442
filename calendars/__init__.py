"""Business days: the Shanghai business date of an instant, and working days of a dated holiday calendar."""

from calendars.working_days import (
    BUSINESS_TIME_ZONE,
    CalendarNotCovered,
    WorkingCalendar,
    business_date,
    start_of_business_date,
)

__all__ = ["BUSINESS_TIME_ZONE", "CalendarNotCovered", "WorkingCalendar", "business_date", "start_of_business_date"]
