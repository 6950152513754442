"""Class-hours given, and what payers say about them: confirm, keep silent, dispute; and who asks for the money back."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from typing import NamedTuple

from simulation.events import ClassHourEvent, Institution, Order, RefundRequest
from simulation.people import between, pick
from simulation.sales import instant
from simulation.span import Span

_SATURDAY = 5
_SESSION_PATTERNS = ((1, 3, 5), (2, 4, 6), (5, 6), (0, 2, 4), (3, 6), (1, 2, 4, 5))
_CLASS_HOUR_MINUTES = 50
_REFUND_SHARE = 0.04
_SILENT_PAYERS = 0.2
_REASONS = ("孩子时间冲突", "搬家", "课程不合适", "身体原因", "教师更换")


class HourTruth(NamedTuple):
    """What became of one class-hour: days of each step within or past the span, None for never."""

    class_hour_no: int
    taught_on: date
    confirmed_on: date | None
    disputed_on: date | None
    upheld_on: date | None


class OrderTeaching(NamedTuple):
    """The taught class-hours of an order in order of number, all events told about them, and a refund request."""

    hours: tuple[HourTruth, ...]
    events: tuple[ClassHourEvent, ...]
    refund: RefundRequest | None


def teach(rng: random.Random, order: Order, institution: Institution, span: Span, refund_no: int) -> OrderTeaching:
    """Play out one order to the end of the span. ``refund_no`` numbers a refund request, should there be one.

    Teaching stops on the day a refund is requested. A dispute comes before silence could count as consent; a payer who
    withdraws a dispute confirms the hour minutes later. Events past the end of the span are not told.
    """
    refund = _refund_request(rng, order, span, refund_no) if rng.random() < _REFUND_SHARE else None
    last = span.end
    if refund is not None:
        last = min(last, refund.requested_at.date() - timedelta(days=1))
    pattern = pick(rng, _SESSION_PATTERNS)
    a_session = 1 if rng.random() < 0.4 else 2
    silent = rng.random() < _SILENT_PAYERS
    hours: list[HourTruth] = []
    events: list[ClassHourEvent] = []
    day, number = order.course_starts_on, 0
    while day <= last and number < order.class_hours:
        if day.weekday() in pattern:
            second = (9 * 3600 if day.weekday() >= _SATURDAY else 18 * 3600) + between(rng, 0, 3) * 900
            for _ in range(min(a_session, order.class_hours - number)):
                number += 1
                second += _CLASS_HOUR_MINUTES * 60
                told = _Told(order, number, span.end, events)
                told.tell("taught", instant(day, second), institution.institution_code)
                hours.append(_answer(rng, told, day, second, silent))
        day += timedelta(days=1)
    return OrderTeaching(tuple(hours), tuple(events), refund)


class _Told:
    """Writes events of one class-hour down, unless they lie past the span."""

    def __init__(self, order: Order, number: int, end: date, events: list[ClassHourEvent]) -> None:
        self.order, self.number, self.end, self.events = order, number, end, events

    def tell(self, event: str, at: datetime, by: str) -> date:
        day = at.date()
        if day <= self.end:
            self.events.append(ClassHourEvent(self.order.institution_no, self.order.order_id, self.number, event, day, at, by))
        return day


def _answer(rng: random.Random, told: _Told, day: date, second: int, silent: bool) -> HourTruth:
    """One payer's answer to one class-hour taught on ``day`` at ``second``."""
    payer = told.order.payer_token
    draw = rng.random()
    if draw < 0.04:
        disputed_at = instant(day + timedelta(days=between(rng, 1, 2)), between(rng, 8 * 3600, 20 * 3600))
        disputed_on = told.tell("disputed", disputed_at, payer)
        outcome = rng.random()
        later = disputed_at + timedelta(days=between(rng, 1, 6))
        if outcome < 0.5:
            told.tell("dispute_withdrawn", later, payer)
            confirmed_on = told.tell("confirmed", later + timedelta(minutes=5), payer)
            return HourTruth(told.number, day, confirmed_on, disputed_on, None)
        if outcome < 0.75:
            upheld_on = told.tell("dispute_upheld", later, "authority")
            return HourTruth(told.number, day, None, disputed_on, upheld_on)
        return HourTruth(told.number, day, None, disputed_on, None)
    if silent or draw < 0.1:
        return HourTruth(told.number, day, None, None, None)
    if draw < 0.55:
        confirmed_at = instant(day, min(second + between(rng, 600, 7200), 24 * 3600 - 1))
    else:
        confirmed_at = instant(day + timedelta(days=between(rng, 1, 3)), between(rng, 7 * 3600, 22 * 3600))
    return HourTruth(told.number, day, told.tell("confirmed", confirmed_at, payer), None, None)


def _refund_request(rng: random.Random, order: Order, span: Span, refund_no: int) -> RefundRequest | None:
    """A request some days after payment; the platform reports it with its answer, or at once where there is none."""
    requested_on = order.paid_on + timedelta(days=between(rng, 4, 18))
    requested_at = instant(requested_on, between(rng, 8 * 3600, 21 * 3600))
    silent = rng.random() < 0.3
    responded_at = None if silent else requested_at + timedelta(hours=between(rng, 1, 48))
    reported_on = requested_on if responded_at is None else responded_at.date()
    if reported_on > span.end:
        return None
    return RefundRequest(
        institution_no=order.institution_no,
        refund_request_id=f"{requested_on:%Y%m%d}{refund_no:05d}",
        order_id=order.order_id,
        requested_at=requested_at,
        responded_at=responded_at,
        reported_on=reported_on,
        reason=pick(rng, _REASONS),
        payee_name=order.payer_name,
        payee_account=order.payer_account,
    )
