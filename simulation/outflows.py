"""What the rules make due: releases, refunds, disbursements. The simulation's own arithmetic, independent of the engine.

The rules (escrow regulations as DOMAIN.md 1.5 and 1.6 report them): a class-hour is released on the day its payer confirms
it, or on the N-th working day of silence after it was taught, but never before the order's money has arrived and never
while disputed. The m-th release of an order of n class-hours and t fen is floor(t*m/n) - floor(t*(m-1)/n). A refund is
approved on the day the institution agrees, or on the fifth working day of its silence, and gives back what is neither
released nor reserved for class-hours taught and still unanswered. All that was released is instructed for payment on the
next worked day (the same day, when worked); the bank executes on the worked day after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from calendars import CalendarNotCovered, WorkingCalendar
from simulation.events import Disbursement, Institution, Order, Refund, Release
from simulation.span import Span
from simulation.teaching import HourTruth, OrderTeaching

#: (day, working days) -> the day on which so much silence is over; None past the calendar's end.
DeemedDay = Callable[[date, int], date | None]


def deemed_day(calendar: WorkingCalendar) -> DeemedDay:
    """A remembered ``(day, working days) -> day``; None where the calendar ends before it."""
    known: dict[tuple[date, int], date | None] = {}

    def of(day: date, count: int) -> date | None:
        key = (day, count)
        if key not in known:
            try:
                known[key] = calendar.add_working_days(day, count)
            except CalendarNotCovered:
                known[key] = None
        return known[key]

    return of


def releases_of(
    order: Order,
    hours: Iterable[HourTruth],
    funded_on: date | None,
    *,
    deemed_after: int,
    span: Span,
    deemed: DeemedDay,
) -> tuple[Release, ...]:
    """The releases of one order within the span, in order of instalment (day, then number of the class-hour)."""
    if funded_on is None:
        return ()
    due: list[tuple[date, int, str]] = []
    for hour in hours:
        if hour.confirmed_on is not None:
            due.append((max(hour.confirmed_on, funded_on), hour.class_hour_no, "payer"))
        elif hour.disputed_on is None:
            silent_until = deemed(hour.taught_on, deemed_after)
            if silent_until is not None:
                due.append((max(silent_until, funded_on), hour.class_hour_no, "deemed"))
    due = sorted(each for each in due if each[0] <= span.end)
    total, count = order.amount, order.class_hours
    return tuple(
        Release(
            order.institution_no,
            order.order_id,
            class_hour_no,
            instalment,
            total * instalment // count - total * (instalment - 1) // count,
            released_on,
            basis,
        )
        for instalment, (released_on, class_hour_no, basis) in enumerate(due, start=1)
    )


def refund_of(
    order: Order,
    told: OrderTeaching,
    releases: Iterable[Release],
    funded_on: date | None,
    *,
    silence: int,
    span: Span,
    deemed: DeemedDay,
) -> Refund | None:
    """The refund a request leads to within the span, or None: not yet approved, not funded, or nothing left."""
    request = told.refund
    if request is None:
        return None
    basis = "agreed"
    approved_on: date | None
    if request.responded_at is not None:
        approved_on = request.responded_at.date()
    else:
        basis, approved_on = "deemed", deemed(request.requested_at.date(), silence)
    if funded_on is None or approved_on is None:
        return None
    approved_on = max(approved_on, funded_on)
    if approved_on > span.end:
        return None
    released = {each.class_hour_no for each in releases if each.released_on <= approved_on}
    pending = sum(
        hour.taught_on <= approved_on
        and hour.class_hour_no not in released
        and not (hour.upheld_on is not None and hour.upheld_on <= approved_on)
        for hour in told.hours
    )
    kept = order.amount * (len(released) + pending) // order.class_hours
    amount = order.amount - kept
    instructed_on = span.first_working_day_from(approved_on)
    if amount == 0:
        return None
    executed_on = span.working_day_after(instructed_on) if instructed_on else None
    return Refund(
        order.institution_no, request.refund_request_id, order.order_id, amount, approved_on, instructed_on, executed_on, basis
    )


def disbursements_of(institution: Institution, releases: Iterable[Release], span: Span) -> tuple[Disbursement, ...]:
    """One instruction for every worked day on which something released waits to be paid out."""
    by_day: dict[date, int] = {}
    for each in releases:
        by_day[each.released_on] = by_day.get(each.released_on, 0) + each.amount
    made: list[Disbursement] = []
    waiting = 0
    for day in span.days:
        waiting += by_day.get(day, 0)
        if waiting and day in span.working:
            instruction_id = f"DI{day:%Y%m%d}{institution.account_number[-8:]}"
            made.append(Disbursement(institution.institution_no, instruction_id, waiting, day, span.working_day_after(day)))
            waiting = 0
    return tuple(made)
