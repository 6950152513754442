"""Charging limits, and the dates they run by."""

from __future__ import annotations

from datetime import date

import pytest

from escrow.order import Charge, Outstanding, add_months, breaches
from escrow.policy import BreachAction, ChargingLimits, OutstandingScope

LIMITS = ChargingLimits(3, 60, 500_000, 1, OutstandingScope.COURSE, BreachAction.REFUSE, BreachAction.FLAG)
START = date(2025, 4, 1)


def charge(**changes) -> Charge:
    values = {
        "class_hours": 60,
        "amount_minor_units": 500_000,
        "paid_on": date(2025, 3, 1),
        "course_starts_on": START,
        "course_ends_on": date(2025, 7, 1),
    }
    return Charge(**(values | changes))


def codes(one: Charge, outstanding: Outstanding | None = None) -> list[str]:
    return [breach.code for breach in breaches(one, LIMITS, outstanding or Outstanding())]


def test_a_charge_at_every_limit_passes():
    assert codes(charge()) == []


# Test vector 6: each with its own code.
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"class_hours": 61}, "P02_class_hours_over_limit"),
        ({"amount_minor_units": 500_001}, "P03_amount_over_limit"),
        ({"course_ends_on": date(2025, 7, 2)}, "P01_period_over_limit"),
        ({"paid_on": date(2025, 2, 28)}, "P04_charged_too_early"),
    ],
)
def test_a_charge_over_one_limit_is_named_by_that_limit(changes, code):
    assert codes(charge(**changes)) == [code]


def test_what_is_outstanding_counts_with_the_charge():
    assert codes(charge(class_hours=40, amount_minor_units=100), Outstanding(20, 100)) == []
    assert codes(charge(class_hours=40, amount_minor_units=100), Outstanding(21, 100)) == ["P05_outstanding_over_limit"]
    assert codes(charge(class_hours=1, amount_minor_units=400_000), Outstanding(1, 100_001)) == ["P05_outstanding_over_limit"]


def test_the_policy_says_what_is_done_about_a_breach():
    found = breaches(charge(class_hours=61), LIMITS, Outstanding(1, 1))

    assert [breach.action for breach in found] == [BreachAction.REFUSE, BreachAction.FLAG]


@pytest.mark.parametrize(
    ("start", "months", "expected"),
    [
        (date(2025, 11, 30), 3, date(2026, 2, 28)),
        (date(2023, 11, 30), 3, date(2024, 2, 29)),
        (date(2025, 3, 31), -1, date(2025, 2, 28)),
        (date(2025, 1, 15), -1, date(2024, 12, 15)),
        (date(2025, 12, 1), 1, date(2026, 1, 1)),
    ],
)
def test_months_keep_the_day_of_the_month_or_end_it(start, months, expected):
    assert add_months(start, months) == expected
