"""The release schedule: exact sums, and independence of the order in which class-hours are released."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.refund import refund_with_gift, refundable
from escrow.schedule import ReleaseMode, ReleaseSchedule, Tranche, check_tranches, parse_tranches, tranches_text

THIRDS = parse_tranches("1/3:30,2/3:60,1/1:100")
schedules = st.builds(
    lambda total, hours, kind: ReleaseSchedule(total, hours, kind, THIRDS if kind is ReleaseMode.TRANCHES else ()),
    st.integers(1, 10**12),
    st.integers(1, 400),
    st.sampled_from(ReleaseMode),
)


# Test vectors 1 to 3: rounding hour by hour would strand 20 fen, over-release 20 fen, over-release 2 fen.
@pytest.mark.parametrize(
    ("total", "hours", "instalments"),
    [
        (500_000, 60, Counter({8_333: 40, 8_334: 20})),
        (499_900, 48, Counter({10_414: 20, 10_415: 28})),
        (100_000, 7, Counter({14_285: 2, 14_286: 5})),
    ],
)
def test_instalments_differ_by_at_most_a_fen_and_sum_to_the_prepayment(total, hours, instalments):
    schedule = ReleaseSchedule(total, hours)

    assert Counter(schedule.instalment(k) for k in range(1, hours + 1)) == instalments
    assert sum(schedule.instalment(k) for k in range(1, hours + 1)) == total


@given(schedules)
def test_instalments_of_any_schedule_sum_to_the_total_and_none_is_negative(schedule):
    instalments = [schedule.instalment(k) for k in range(1, schedule.class_hours + 1)]

    assert sum(instalments) == schedule.total_minor_units
    assert min(instalments) >= 0


@given(schedules, st.data())
def test_what_is_released_and_what_can_be_refunded_never_exceed_the_prepayment(schedule, data):
    released = data.draw(st.integers(0, schedule.class_hours))
    reserved = data.draw(st.integers(0, schedule.class_hours - released))
    refund = refundable(schedule, released_hours=released, reserved_hours=reserved, refunded_minor_units=0)

    kept_for_the_reserved = schedule.cumulative(released + reserved) - schedule.cumulative(released)
    assert schedule.cumulative(released) + kept_for_the_reserved + refund == schedule.total_minor_units
    assert refundable(schedule, released_hours=released, reserved_hours=reserved, refunded_minor_units=refund) == 0


def test_thirty_thirty_forty_is_due_at_a_third_two_thirds_and_the_end():
    schedule = ReleaseSchedule(100_000, 10, ReleaseMode.TRANCHES, THIRDS)

    assert [schedule.cumulative(n) for n in range(11)] == [0, 0, 0, 0, 30_000, 30_000, 30_000, 60_000, 60_000, 60_000, 100_000]


def test_an_order_to_be_completed_releases_nothing_before_its_last_class_hour():
    schedule = ReleaseSchedule(100_000, 3, ReleaseMode.ORDER_COMPLETE)

    assert [schedule.instalment(k) for k in (1, 2, 3)] == [0, 0, 100_000]


@pytest.mark.parametrize(("total", "hours"), [(0, 10), (-1, 10), (100, 0)])
def test_a_schedule_without_money_or_class_hours_is_refused(total, hours):
    with pytest.raises(ValueError, match="above zero"):
        ReleaseSchedule(total, hours)


@pytest.mark.parametrize("number", [0, 11])
def test_an_instalment_outside_the_schedule_is_refused(number):
    with pytest.raises(ValueError, match="not an instalment"):
        ReleaseSchedule(1000, 10).instalment(number)


def test_tranches_survive_being_stored():
    assert tranches_text(THIRDS) == "1/3:30,2/3:60,1/1:100"
    assert parse_tranches("") == ()


@pytest.mark.parametrize(
    "text", ["1/3:30", "1/3:30,1/1:90", "2/3:30,1/3:60,1/1:100", "1/3:60,2/3:30,1/1:100", "1/3:x", "0/3:30,1/1:100"]
)
def test_tranches_that_do_not_rise_to_the_whole_are_refused(text):
    with pytest.raises(ValueError, match="tranche"):
        parse_tranches(text)


def test_a_last_tranche_before_the_end_is_refused():
    with pytest.raises(ValueError, match="last tranche"):
        check_tranches((Tranche(1, 2, 100),))


def test_a_gift_is_consumed_in_proportion_to_what_was_paid():
    # Test vector 4.
    assert refund_with_gift(paid_minor_units=300_000, gift_minor_units=100_000, consumed_minor_units=359_400) == 30_450


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 2 * 10**9))
def test_a_refund_with_a_gift_is_never_below_zero_nor_above_what_was_paid(paid, gift, consumed):
    refund = refund_with_gift(paid_minor_units=paid, gift_minor_units=gift, consumed_minor_units=consumed)

    assert 0 <= refund <= paid
    assert (refund == paid) == (consumed * paid // (paid + gift) == 0)
