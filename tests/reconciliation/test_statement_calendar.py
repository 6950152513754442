"""For which days a bank owes a statement, until when, and what a supervisor is told at any moment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendars import BUSINESS_TIME_ZONE
from config.calendars import load_calendar
from reconciliation.model import Arrival, Came, CustodyAccountRef
from reconciliation.statement_calendar import Cadence, CalendarDay, DayState, RuleVersion, StatementRules, calendar_of, is_owed

CALENDAR = load_calendar()
NOON = time(12, 0)
OPENED = date(2025, 1, 1)


def account(opened_on: date = OPENED, bank: str = "SWB", number: str = "6222000000000017") -> CustodyAccountRef:
    return CustodyAccountRef(1, 17, bank, number, "CNY", opened_on)


def rules(cadence: Cadence = Cadence.WORKING_DAYS, *, at: time = NOON, after: int = 1) -> StatementRules:
    return StatementRules("test", (RuleVersion(OPENED, None, cadence, after, at),), {}, {})


def shanghai(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BUSINESS_TIME_ZONE)


def counted(*days: str, at: str = "") -> dict[date, Came]:
    """Statements that count, each there in the evening of its day or at an instant."""
    return {date.fromisoformat(day): Came(Arrival.COUNTED, shanghai(at or f"{day} 20:00")) for day in days}


def told(days: Iterable[CalendarDay]) -> str:
    """A calendar as a supervisor reads it: day, state, deadline, how late."""
    rows = []
    for one in days:
        deadline = f"until {one.deadline:%m-%d %H:%M}" if one.deadline else "-"
        late = f"late by {one.late_by}" if one.late_by is not None else ""
        rows.append(f"{one.day:%a %m-%d} {one.state:<8} {deadline} {late}".rstrip())
    return "\n".join(rows)


def stands(
    first: str,
    last: str,
    now: str,
    came: dict[date, Came] | None = None,
    *,
    rule: StatementRules | None = None,
    ref: CustodyAccountRef | None = None,
    since: date | None = None,
) -> list[CalendarDay]:
    days = date.fromisoformat(first), date.fromisoformat(last)
    return calendar_of(rule or rules(), CALENDAR, ref or account(), came or {}, *days, now=shanghai(now), since=since)


HOLIDAY_WEEK = """\
Fri 09-26 received until 09-28 12:00
Sat 09-27 not_due  -
Sun 09-28 received until 09-29 12:00
Mon 09-29 received until 09-30 12:00
Tue 09-30 overdue  until 10-09 12:00
Wed 10-01 not_due  -
Thu 10-02 not_due  -
Fri 10-03 not_due  -
Sat 10-04 not_due  -
Sun 10-05 not_due  -
Mon 10-06 not_due  -
Tue 10-07 not_due  -
Wed 10-08 not_due  -
Thu 10-09 due      until 10-10 12:00
Fri 10-10 not_due  until 10-11 12:00
Sat 10-11 not_due  until 10-13 12:00
Sun 10-12 not_due  -"""


def test_a_holiday_week_owes_nothing_and_its_make_up_weekend_days_owe_a_statement():
    # National Day 2025: 1 to 8 October off; Sunday 28 September and Saturday 11 October are worked instead.
    came = counted("2025-09-26", "2025-09-28", "2025-09-29")

    days = stands("2025-09-26", "2025-10-12", "2025-10-10 09:00", came)

    assert told(days) == HOLIDAY_WEEK


def test_a_deadline_ends_to_the_second():
    evening = counted("2025-03-03", at="2025-03-04 12:00:00")
    second_later = counted("2025-03-03", at="2025-03-04 12:00:01")

    (in_time,) = stands("2025-03-03", "2025-03-03", "2025-03-05 08:00", evening)
    (late,) = stands("2025-03-03", "2025-03-03", "2025-03-05 08:00", second_later)
    assert (in_time.late_by, late.late_by) == (None, timedelta(seconds=1))

    asked = ("2025-03-03 23:59:59", "2025-03-04 00:00:00", "2025-03-04 12:00:00", "2025-03-04 12:00:01")
    states = [stands("2025-03-03", "2025-03-03", now)[0].state for now in asked]
    assert states == [DayState.NOT_DUE, DayState.DUE, DayState.DUE, DayState.OVERDUE]


def test_an_account_owes_nothing_before_it_was_opened_or_came_under_supervision():
    opened = account(opened_on=date(2025, 3, 12))
    assert [one.owed for one in stands("2025-03-10", "2025-03-14", "2025-03-20 08:00", ref=opened)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    since = stands("2025-03-10", "2025-03-14", "2025-03-20 08:00", ref=opened, since=date(2025, 3, 14))
    assert [str(one.state) for one in since] == ["not_due"] * 4 + ["overdue"]


def test_a_day_a_later_statement_continues_is_not_overdue_but_says_that_none_came():
    days = stands("2025-03-03", "2025-03-05", "2025-03-20 08:00", counted("2025-03-03", "2025-03-05"))

    assert [str(one.state) for one in days] == ["received", "covered", "received"]
    assert days[1].covered_by == date(2025, 3, 5)
    assert not any(one.overdue for one in days)


@pytest.mark.parametrize(
    ("arrival", "state", "overdue"),
    [
        (Arrival.WAITING, DayState.WAITING, False),  # what is missing is the one before it
        (Arrival.QUARANTINED, DayState.QUARANTINED, False),  # two of our people have to decide
        (Arrival.REFUSED, DayState.REFUSED, True),  # the bank owes another
    ],
)
def test_what_came_and_does_not_count_is_told_as_it_is(arrival: Arrival, state: DayState, overdue: bool) -> None:
    came = {date(2025, 3, 3): Came(arrival, shanghai("2025-03-04 13:30"))}

    (day,) = stands("2025-03-03", "2025-03-03", "2025-03-04 14:00", came)

    assert (day.state, day.overdue, day.late_by) == (state, overdue, timedelta(minutes=90))


def test_weekly_and_monthly_accounts_owe_the_last_working_day_or_what_follows_it():
    # The week of the Spring Festival of 2026 has no working day at all; the Saturday after the next week is a make-up day.
    weekly = [day.day for day in stands("2026-02-09", "2026-03-01", "2026-03-10 08:00", rule=rules(Cadence.WEEKLY)) if day.owed]
    assert weekly == [date(2026, 2, 14), date(2026, 2, 28)]
    monthly = [day.day for day in stands("2025-01-01", "2025-12-31", "2026-02-01 08:00", rule=rules(Cadence.MONTHLY)) if day.owed]
    assert [f"{day:%m-%d}" for day in monthly] == [
        "01-27", "02-28", "03-31", "04-30", "05-30", "06-30", "07-31", "08-29", "09-30", "10-31", "11-28", "12-31",
    ]  # fmt: skip
    # August 2025 ends on a Sunday: a statement dated then is the month's.
    (august,) = stands("2025-08-29", "2025-08-29", "2025-09-03 08:00", counted("2025-08-31"), rule=rules(Cadence.MONTHLY))
    assert august.state is DayState.RECEIVED
    every_day = stands("2025-03-01", "2025-03-02", "2025-03-03 08:00", rule=rules(Cadence.EVERY_DAY))
    assert told(every_day) == "Sat 03-01 due      until 03-03 12:00\nSun 03-02 due      until 03-03 12:00"


def test_an_account_takes_from_its_bank_and_from_everybody_what_it_does_not_say_itself():
    book = StatementRules(
        "test",
        (
            RuleVersion(OPENED, None, Cadence.WORKING_DAYS, 1, NOON),
            RuleVersion(date(2025, 6, 1), None, Cadence.WORKING_DAYS, 1, time(11, 0)),
        ),
        {"SWB": (RuleVersion(date(2025, 2, 1), date(2025, 4, 30), at=time(9, 30)),)},
        {("SWB", "2"): (RuleVersion(date(2025, 3, 1), cadence=Cadence.WEEKLY, after_working_days=2),)},
    )

    def rule(number: str, day: date) -> tuple[str, int, str]:
        found = book.rule_of(account(number=number), day)
        assert found is not None
        return str(found.cadence), found.after_working_days, f"{found.at:%H:%M}"

    assert rule("1", date(2025, 1, 31)) == ("working_days", 1, "12:00")
    assert rule("1", date(2025, 2, 1)) == ("working_days", 1, "09:30")
    assert rule("2", date(2025, 3, 1)) == ("weekly", 2, "09:30")
    assert rule("2", date(2025, 4, 30)) == ("weekly", 2, "09:30")
    assert rule("2", date(2025, 5, 1)) == ("weekly", 2, "12:00")
    assert rule("1", date(2025, 6, 1)) == ("working_days", 1, "11:00")
    assert book.rule_of(account(), OPENED - timedelta(days=1)) is None


def test_past_the_holiday_calendar_nobody_is_called_late_by_a_guess():
    last = CALENDAR.covered_to
    (day,) = calendar_of(rules(), CALENDAR, account(), {}, last, last, now=shanghai("2027-02-01 08:00"))

    assert (day.state, day.deadline, day.overdue) == (DayState.DUE, None, False)


DAYS = st.dates(date(2025, 1, 2), date(2026, 12, 1))
SPANS = st.integers(0, 40)
INSTANTS = st.datetimes(datetime(2025, 1, 2), datetime(2027, 1, 15)).map(lambda one: one.replace(tzinfo=BUSINESS_TIME_ZONE))
RULES = st.builds(
    rules, st.sampled_from(Cadence), at=st.times().map(lambda one: one.replace(microsecond=0)), after=st.integers(1, 5)
)
CAME = st.dictionaries(
    DAYS, st.builds(Came, st.sampled_from([a for a in Arrival if a is not Arrival.MISSING]), INSTANTS), max_size=20
)


@given(RULES, CAME, DAYS, SPANS, INSTANTS)
def test_every_day_has_exactly_one_state_and_it_says_no_more_than_is_known(book, came, first, span, now):
    days = calendar_of(book, CALENDAR, account(), came, first, first + timedelta(days=span), now=now)

    assert [one.day for one in days] == [first + timedelta(days=n) for n in range(span + 1)]
    newest = max((day for day, what in came.items() if what.arrival is Arrival.COUNTED), default=date.min)
    for one in days:
        assert one.owed == is_owed(book, CALENDAR, account(), one.day)
        assert (one.late_by is not None) <= (one.deadline is not None and one.came_at is not None and one.came_at > one.deadline)
        assert (one.covered_by is None) or (one.covered_by > one.day and one.covered_by <= newest)
        if one.overdue:
            assert one.owed, "nobody is blamed for a day on which nothing is owed"
            assert one.deadline is not None
            assert now > one.deadline
            assert one.day >= newest or one.covered_by is None, "a later statement that counts continues it"
            assert one.state in (DayState.OVERDUE, DayState.REFUSED)
        if one.day in came and came[one.day].arrival is Arrival.COUNTED:
            assert one.state is DayState.RECEIVED


@given(RULES, DAYS, st.lists(INSTANTS, min_size=2, max_size=6))
def test_time_only_takes_a_day_forward_from_not_due_over_due_to_overdue(book, day, instants):
    order = (DayState.NOT_DUE, DayState.DUE, DayState.OVERDUE)
    seen = [order.index(calendar_of(book, CALENDAR, account(), {}, day, day, now=now)[0].state) for now in sorted(instants)]

    assert seen == sorted(seen)


@given(RULES, CAME, DAYS, SPANS, INSTANTS, DAYS, INSTANTS)
def test_a_statement_that_comes_and_counts_makes_nobody_overdue(book, came, first, span, now, day, at):
    last = first + timedelta(days=span)
    more = came | {day: Came(Arrival.COUNTED, at)}

    before = {one.day for one in calendar_of(book, CALENDAR, account(), came, first, last, now=now) if one.overdue}
    after = {one.day for one in calendar_of(book, CALENDAR, account(), more, first, last, now=now) if one.overdue}

    assert after <= before
    assert not any(one < day for one in after)
