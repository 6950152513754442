"""Institutions and what they sell: the first step of a district, before anything goes wrong."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta

from simulation.events import SHANGHAI, Institution, Order
from simulation.people import COURSES, Course, between, digits, institution_name, person, pick, shuffled
from simulation.span import Span
from simulation.terms import DistrictTerms
from simulation.uscc import make_code

#: Channels cut their day at 23:30: what is paid later is in the next day's batch.
CHANNEL_CUT_SECOND = 23 * 3600 + 30 * 60
#: A bank transfer paid before 17:00 may arrive the same day; later ones arrive on the next calendar day.
SAME_DAY_SECOND = 17 * 3600

_WEEKEND_WEIGHT = 1.5
_SATURDAY = 5
_LONGEST_COURSE_DAYS = 85  # within the 3 months one charge may cover
_HOURS_A_WEEK = 3


def make_institutions(rng: random.Random, count: int, terms: DistrictTerms, opened_on: date) -> tuple[Institution, ...]:
    """``count`` institutions, spread evenly over banks and jurisdictions, each with one empty custody account."""
    made: list[Institution] = []
    tails: set[str] = set()
    for number in range(count):
        bank = terms.banks[number % len(terms.banks)]
        city = terms.jurisdictions[number % len(terms.jurisdictions)]
        name, kind = institution_name(rng, city.city, number)
        tail = digits(rng, 8)
        while tail in tails:  # the tail names the account in instruction ids
            tail = digits(rng, 8)
        tails.add(tail)
        made.append(
            Institution(
                institution_no=number,
                institution_code=make_code(rng, kind, city.division),
                name=name,
                jurisdiction_code=city.code,
                deemed_after=city.deemed_after,
                bank_code=bank.bank_code,
                profile=bank.profile,
                account_number=f"6{number % len(terms.banks) + 1:02d}{number:05d}{digits(rng, 3)}{tail}",
                account_name=f"{name}预收费资金托管专户",
                opened_on=opened_on,
                beneficiary_name=name,
                beneficiary_account=f"3{number:05d}{digits(rng, 11)}",
                beneficiary_bank=f"{bank.name}{city.city}分行",
            )
        )
    return tuple(made)


def make_orders(rng: random.Random, count: int, institutions: tuple[Institution, ...], span: Span) -> tuple[Order, ...]:
    """``count`` orders in order of payment, over all calendar days of the span; all keep the charging limits.

    At most 60 class-hours, 5000 yuan and 3 months; charged no more than a month before the course starts; payers are
    distinct, so the limit on what one student may have outstanding is kept as well.
    """
    menus = [shuffled(rng, COURSES)[: between(rng, 4, 7)] for _ in institutions]
    wanted = _running([0.4 + rng.random() for _ in institutions])
    day_weights = _running([_WEEKEND_WEIGHT if day.weekday() >= _SATURDAY else 1.0 for day in span.days])
    moments = sorted((_pick_weighted(rng, day_weights), _paid_second(rng), number) for number in range(count))
    orders: list[Order] = []
    today, serial = -1, 0
    for day_no, second, _ in moments:
        serial = serial + 1 if day_no == today else 1
        today = day_no
        institution_no = _pick_weighted(rng, wanted)
        course = pick(rng, menus[institution_no])
        orders.append(_order(rng, institution_no, course, day=span.days[day_no], second=second, serial=serial))
    return tuple(orders)


def order_id_of(day: date, serial: int) -> str:
    """How the platform numbers its orders: OD, the day, six digits."""
    return f"OD{day:%Y%m%d}{serial:06d}"


def instant(day: date, second: int) -> datetime:
    """The instant ``second`` seconds after midnight of a business day in Shanghai."""
    return datetime.combine(day, time.min, SHANGHAI) + timedelta(seconds=second)


def _order(rng: random.Random, institution_no: int, course: Course, *, day: date, second: int, serial: int) -> Order:
    draw = rng.random()
    channel = "wechat" if draw < 0.45 else "alipay" if draw < 0.78 else "bank_transfer"
    starts_on = day + timedelta(days=between(rng, 3, 6) if rng.random() < 0.6 else between(rng, 7, 25))
    lasts = min(_LONGEST_COURSE_DAYS, max(14, course.class_hours * 7 // _HOURS_A_WEEK + 14))
    return Order(
        institution_no=institution_no,
        order_id=order_id_of(day, serial),
        payer_token=f"P{digits(rng, 12)}",
        payer_name=person(rng),
        payer_account=f"6222{digits(rng, 15)}",
        student_token=f"S{digits(rng, 12)}",
        course_name=course.name,
        class_hours=course.class_hours,
        amount=course.amount,
        channel=channel,
        channel_reference=_channel_reference(rng, channel, day),
        paid_at=instant(day, second),
        paid_on=day,
        course_starts_on=starts_on,
        course_ends_on=starts_on + timedelta(days=lasts),
    )


def _channel_reference(rng: random.Random, channel: str, day: date) -> str:
    if channel == "wechat":
        return f"42000{digits(rng, 5)}{day:%Y%m%d}{digits(rng, 10)}"
    if channel == "alipay":
        return f"{day:%Y%m%d}2200{digits(rng, 16)}"
    return f"BT{day:%Y%m%d}{digits(rng, 6)}"


def _paid_second(rng: random.Random) -> int:
    """Mostly evening: half the payments between 18:00 and 23:29, the rest from 08:00 on."""
    low, high = (18 * 3600, CHANNEL_CUT_SECOND - 60) if rng.random() < 0.5 else (8 * 3600, 18 * 3600 - 1)
    return between(rng, low, high)


def _running(weights: list[float]) -> list[float]:
    total, sums = 0.0, []
    for weight in weights:
        total += weight
        sums.append(total)
    return sums


def _pick_weighted(rng: random.Random, running: list[float]) -> int:
    point = rng.random() * running[-1]
    return next((position for position, limit in enumerate(running) if point < limit), len(running) - 1)
