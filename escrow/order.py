"""Orders and the limits a charge must keep (three months, sixty class-hours, five thousand yuan: dated policy data)."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date

from escrow.policy import BreachAction, ChargingLimits
from money import format_minor_units

PERIOD_OVER_LIMIT = "P01_period_over_limit"
CLASS_HOURS_OVER_LIMIT = "P02_class_hours_over_limit"
AMOUNT_OVER_LIMIT = "P03_amount_over_limit"
CHARGED_TOO_EARLY = "P04_charged_too_early"
OUTSTANDING_OVER_LIMIT = "P05_outstanding_over_limit"


@dataclass(frozen=True, slots=True)
class Charge:
    """What an order takes from the payer, as the limits see it. ``amount_minor_units`` in fen, dates are business days."""

    class_hours: int
    amount_minor_units: int
    paid_on: date
    course_starts_on: date
    course_ends_on: date


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What a student has paid an institution for and not yet been taught, over the policy's scope."""

    class_hours: int = 0
    amount_minor_units: int = 0

    def plus(self, class_hours: int, amount_minor_units: int) -> Outstanding:
        return Outstanding(self.class_hours + class_hours, self.amount_minor_units + amount_minor_units)


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit the charge breaks. ``field`` is the order's column; ``action`` what the policy says is done about it."""

    field: str
    code: str
    reason: str
    action: BreachAction


def add_months(day: date, months: int) -> date:
    """The same day of the month ``months`` later (earlier when negative), or that month's last day."""
    count = day.year * 12 + day.month - 1 + months
    year, month = divmod(count, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def breaches(charge: Charge, limits: ChargingLimits, outstanding: Outstanding) -> list[Breach]:
    """Every limit the charge breaks, given what the student has outstanding without it.

    The period runs to the same day of the month (民法典 art. 202): 1 March to 1 June is three months, 2 June is over.
    """
    found: list[Breach] = []

    def add(field: str, code: str, reason: str, action: BreachAction = limits.breach) -> None:
        found.append(Breach(field, code, reason, action))

    latest_end = add_months(charge.course_starts_on, limits.period_months)
    if charge.course_ends_on > latest_end:
        add("course_ends_on", PERIOD_OVER_LIMIT, f"one charge covers at most {limits.period_months} months, to {latest_end}")
    if charge.class_hours > limits.class_hours:
        add("class_hours", CLASS_HOURS_OVER_LIMIT, f"one charge covers at most {limits.class_hours} class-hours")
    most = format_minor_units(limits.amount_minor_units, grouped=True)
    if charge.amount_minor_units > limits.amount_minor_units:
        add("amount", AMOUNT_OVER_LIMIT, f"one charge is at most {most} yuan")
    earliest = add_months(charge.course_starts_on, -limits.earliest_months_ahead)
    if charge.paid_on < earliest:
        add("paid_at", CHARGED_TOO_EARLY, f"the course starts on {charge.course_starts_on}: not to be charged before {earliest}")
    total = outstanding.plus(charge.class_hours, charge.amount_minor_units)
    has_more = outstanding.class_hours > 0 or outstanding.amount_minor_units > 0
    if has_more and (total.class_hours > limits.class_hours or total.amount_minor_units > limits.amount_minor_units):
        amount = format_minor_units(total.amount_minor_units, grouped=True)
        reason = (
            f"with it the student would have {total.class_hours} class-hours and {amount} yuan outstanding, "
            f"of at most {limits.class_hours} and {most}"
        )
        add("class_hours", OUTSTANDING_OVER_LIMIT, reason, limits.outstanding_breach)
    return found
