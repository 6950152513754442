"""Which job is due when is a function of the two instants given."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from calendars import BUSINESS_TIME_ZONE
from config.calendars import load_calendar
from config.jobs import load_job_times
from jobs.schedule import ScheduledJob, due_slots

CALENDAR = load_calendar()
JOBS = (
    ScheduledJob("reconcile", time(10, 15), for_previous_day=True, every_day=True),
    ScheduledJob("disburse", time(17, 15), for_previous_day=False, every_day=False),
)
instants = st.datetimes(min_value=datetime(2026, 1, 5), max_value=datetime(2026, 6, 1)).map(
    lambda naive: naive.replace(tzinfo=BUSINESS_TIME_ZONE)
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BUSINESS_TIME_ZONE)


def test_a_morning_job_is_for_the_day_before() -> None:
    slots = list(due_slots(JOBS, CALENDAR, at("2026-03-03 09:00"), at("2026-03-03 12:00")))

    assert [(slot.job, slot.as_of) for slot in slots] == [("reconcile", date(2026, 3, 2))]


def test_a_working_day_job_rests_on_the_weekend_and_works_on_a_make_up_sunday() -> None:
    # Saturday 26 September 2026 is a weekend; Sunday 20 September is worked for National Day.
    saturday = [slot.job for slot in due_slots(JOBS, CALENDAR, at("2026-09-26 00:00"), at("2026-09-26 23:59"))]
    sunday = [slot.job for slot in due_slots(JOBS, CALENDAR, at("2026-09-20 00:00"), at("2026-09-20 23:59"))]

    assert saturday == ["reconcile"]
    assert sunday == ["reconcile", "disburse"]


@given(instants, st.integers(0, 72), st.integers(0, 72))
def test_cutting_the_time_in_two_loses_and_repeats_nothing(start: datetime, hours: int, more: int) -> None:
    middle, end = start + timedelta(hours=hours), start + timedelta(hours=hours + more)

    whole = list(due_slots(JOBS, CALENDAR, start, end))
    halves = [*due_slots(JOBS, CALENDAR, start, middle), *due_slots(JOBS, CALENDAR, middle, end)]

    assert whole == halves
    assert whole == sorted(whole, key=lambda slot: slot.due_at)


def test_the_shipped_times_name_known_jobs_in_the_order_of_a_day() -> None:
    from jobs.daily import JOBS as KNOWN

    times = load_job_times()

    assert {name for name, *_ in times} == set(KNOWN)
    assert [at for _, at, *_ in times] == sorted(at for _, at, *_ in times)
