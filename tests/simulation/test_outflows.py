"""The oracle's own arithmetic, against figures worked out by hand (DOMAIN.md 6 and the calendar of March 2026)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.calendars import load_calendar
from config.policies import load_policies
from simulation.events import Order, RefundRequest, Release
from simulation.outflows import deemed_day, disbursements_of, refund_of, releases_of
from simulation.sales import instant
from simulation.span import SimulationRefused, span_of
from simulation.teaching import HourTruth, OrderTeaching
from simulation.terms import DEFAULT_JURISDICTIONS, WindowTerms, default_terms
from tests.simulation.conftest import make_district

CALENDAR = load_calendar()
MONDAY = date(2026, 3, 2)
SPAN = span_of(MONDAY, 20, CALENDAR)


def order(amount: int, class_hours: int) -> Order:
    return Order(
        0, "OD20260302000001", "P1", "王伟", "6222", "S1", "书法", class_hours, amount, "wechat", "42", instant(MONDAY, 0), MONDAY,
        MONDAY + timedelta(days=3), MONDAY + timedelta(days=60),
    )  # fmt: skip


def releases(of: Order, hours: list[HourTruth], funded_on: date | None = MONDAY, deemed_after: int = 7) -> tuple[Release, ...]:
    return releases_of(of, hours, funded_on, deemed_after=deemed_after, span=SPAN, deemed=deemed_day(CALENDAR))


def confirmed(number: int, day: date) -> HourTruth:
    return HourTruth(number, day, day, None, None)


@pytest.mark.parametrize(("amount", "hours", "instalments"), [
    (500000, 60, {8333, 8334}), (499900, 48, {10414, 10415}), (100000, 7, {14285, 14286}),
])  # fmt: skip
def test_instalments_are_those_of_the_published_examples(amount: int, hours: int, instalments: set[int]) -> None:
    taught = [confirmed(number, MONDAY + timedelta(days=number % 20)) for number in range(1, hours + 1)]
    made = releases(order(amount, hours), taught)
    assert {each.amount for each in made} == instalments
    assert sum(each.amount for each in made) == amount


@given(amount=st.integers(60, 10**9), hours=st.integers(1, 60), days=st.lists(st.integers(0, 25), min_size=60, max_size=60))
def test_all_hours_released_in_any_order_release_the_whole_price(amount: int, hours: int, days: list[int]) -> None:
    taught = [confirmed(number, MONDAY + timedelta(days=days[number - 1])) for number in range(1, hours + 1)]
    made = releases(order(amount, hours), taught)
    assert sum(each.amount for each in made) == amount
    assert [each.instalment_no for each in made] == list(range(1, hours + 1))
    assert [each.released_on for each in made] == sorted(each.released_on for each in made)


def test_silence_counts_working_days_and_the_weekend_does_not() -> None:
    silent = HourTruth(1, date(2026, 3, 6), None, None, None)  # taught on a Friday
    (seven,) = releases(order(1000, 1), [silent], deemed_after=7)
    assert (seven.released_on, seven.basis) == (date(2026, 3, 17), "deemed")
    (fifteen,) = releases(order(1000, 1), [silent], deemed_after=15)
    assert fifteen.released_on == date(2026, 3, 27)


def test_a_disputed_hour_is_not_released_and_an_unfunded_one_waits() -> None:
    disputed = HourTruth(1, MONDAY, None, MONDAY + timedelta(days=1), None)
    assert releases(order(1000, 2), [disputed]) == ()
    (waited,) = releases(order(1000, 2), [confirmed(1, MONDAY)], funded_on=date(2026, 3, 5))
    assert (waited.released_on, waited.amount) == (date(2026, 3, 5), 500)
    assert releases(order(1000, 2), [confirmed(1, MONDAY)], funded_on=None) == ()


def request(at: date, answered: date | None) -> RefundRequest:
    answer = instant(answered, 36000) if answered else None
    return RefundRequest(0, "2026031000001", "OD20260302000001", instant(at, 36000), answer, answered or at, "", "王伟", "6222")


def test_a_refund_leaves_what_is_released_and_what_is_reserved_for_taught_hours() -> None:
    """1000.00 for 7 hours: 2 released, 1 unanswered, 1 disputed, 1 upheld -> kept floor(100000*4/7) = 57142, back 42858."""
    of = order(100000, 7)
    hours = [
        confirmed(1, date(2026, 3, 4)),
        confirmed(2, date(2026, 3, 5)),
        HourTruth(3, date(2026, 3, 9), None, None, None),
        HourTruth(4, date(2026, 3, 9), None, date(2026, 3, 10), None),
        HourTruth(5, date(2026, 3, 9), None, date(2026, 3, 10), date(2026, 3, 11)),
    ]
    told = OrderTeaching(tuple(hours), (), request(date(2026, 3, 13), date(2026, 3, 14)))
    made = refund_of(of, told, releases(of, hours), MONDAY, silence=5, span=SPAN, deemed=deemed_day(CALENDAR))
    assert made is not None
    assert made.amount == 42858
    assert made.approved_on == date(2026, 3, 14)  # a Saturday: approved that day,
    assert made.instructed_on == date(2026, 3, 16)  # instructed on Monday,
    assert made.executed_on == date(2026, 3, 17)  # executed on Tuesday


def test_a_silent_institution_agrees_on_the_fifth_working_day() -> None:
    told = OrderTeaching((), (), request(date(2026, 3, 13), None))
    made = refund_of(order(1000, 1), told, (), MONDAY, silence=5, span=SPAN, deemed=deemed_day(CALENDAR))
    assert made is not None
    assert (made.approved_on, made.basis, made.amount) == (date(2026, 3, 20), "deemed", 1000)


def test_a_weekend_s_releases_are_paid_out_with_monday_s() -> None:
    school = make_district(1).institutions[0]
    days = (date(2026, 3, 7), date(2026, 3, 8), date(2026, 3, 9))
    made = disbursements_of(
        school, [Release(0, "OD", number, number, 100 * number, day, "payer") for number, day in enumerate(days, 1)], SPAN
    )
    (only,) = made
    assert (only.amount, only.instructed_on, only.executed_on) == (600, date(2026, 3, 9), date(2026, 3, 10))
    assert only.instruction_id == f"DI20260309{school.account_number[-8:]}"


def test_a_window_is_the_later_of_calendar_and_working_days() -> None:
    terms = default_terms(CALENDAR)
    assert terms.last_day(date(2026, 3, 3), WindowTerms(3, 2)) == date(2026, 3, 6)
    assert terms.last_day(date(2026, 3, 6), WindowTerms(3, 2)) == date(2026, 3, 10)  # Friday: Monday, Tuesday


def test_the_span_counts_working_days_and_stops_at_the_calendar_s_end() -> None:
    assert (SPAN.start, SPAN.end, len(SPAN.days)) == (MONDAY, date(2026, 3, 27), 26)
    qingming = span_of(date(2026, 4, 1), 4, CALENDAR)
    assert qingming.end == date(2026, 4, 7)  # the 6th is a holiday
    with pytest.raises(SimulationRefused, match="leave the calendar"):
        span_of(date(2026, 12, 30), 5, CALENDAR)


def test_the_simulation_and_the_house_are_told_the_same_rules() -> None:
    policies = load_policies()
    for each in DEFAULT_JURISDICTIONS:
        policy = policies.policy_for(each.code, MONDAY)
        assert policy.release.deemed_after_working_days == each.deemed_after
        assert policy.refund.deemed_agreed_after_working_days == default_terms(CALENDAR).refund_silence
