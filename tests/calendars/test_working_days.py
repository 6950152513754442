"""Working days follow the State Council's notices, and dates they do not cover are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import chinese_calendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendars import CalendarNotCovered, business_date, start_of_business_date
from config.calendars import load_calendar

CALENDAR = load_calendar()
covered = st.dates(min_value=date(2023, 1, 1), max_value=date(2026, 9, 30))


@given(st.dates(min_value=date(2023, 1, 1), max_value=date(2026, 12, 31)))
def test_every_covered_day_agrees_with_an_independent_calendar(day: date) -> None:
    assert CALENDAR.is_working_day(day) == chinese_calendar.is_workday(day)


@pytest.mark.parametrize("day", [date(2022, 12, 31), date(2027, 1, 1)])
def test_a_day_no_notice_covers_is_refused_and_the_message_says_what_to_do(day: date) -> None:
    with pytest.raises(CalendarNotCovered, match="config/calendars"):
        CALENDAR.is_working_day(day)


def test_fifteen_working_days_from_the_friday_before_national_day_count_make_up_weekends() -> None:
    # 2026: off Friday 25 September (mid-autumn) and 1-7 October; worked on Sunday 20 September and Saturday 10 October.
    # So: 20-24 September are the 1st to 5th, 28-30 the 6th to 8th, 8-10 October the 9th to 11th, 12-15 the 12th to 15th.
    assert CALENDAR.add_working_days(date(2026, 9, 18), 15) == date(2026, 10, 15)


@given(covered, st.integers(min_value=1, max_value=30))
def test_the_nth_working_day_is_worked_and_n_working_days_away(day: date, count: int) -> None:
    end = CALENDAR.add_working_days(day, count)

    assert CALENDAR.is_working_day(end)
    assert CALENDAR.working_days_between(day, end) == count


@given(st.datetimes(min_value=datetime(2023, 1, 1), max_value=datetime(2026, 12, 30)))
def test_the_business_day_is_a_day_in_shanghai(naive: datetime) -> None:
    instant = naive.replace(tzinfo=UTC)

    assert business_date(instant) == (instant + timedelta(hours=8)).date()
    assert start_of_business_date(business_date(instant)) <= instant


def test_half_past_eleven_at_night_in_shanghai_is_still_that_day() -> None:
    assert business_date(datetime(2026, 3, 2, 15, 30, tzinfo=UTC)) == date(2026, 3, 2)
    assert business_date(datetime(2026, 3, 2, 16, 0, tzinfo=UTC)) == date(2026, 3, 3)


def test_an_instant_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        business_date(datetime(2026, 3, 2))


def test_an_age_that_reaches_past_the_calendar_is_told_by_weekdays() -> None:
    last = CALENDAR.covered_to
    week_later = last + timedelta(days=7)

    assert CALENDAR.working_days_between(last, week_later) == 5
    assert [CALENDAR.looks_worked(date(2100, 1, day)) for day in (1, 2, 3, 4)] == [True, False, False, True]
