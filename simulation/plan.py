"""Choosing what goes wrong, before the consequences are computed.

Fates never overlap: an order has at most one, an order of an unlucky batch has none, and no money defect falls on an
account-day whose statement is itself defective. So every truth stays decidable.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from simulation.defects import BatchFate, DefectRates, OrderFate, StatementFate, StrayKind
from simulation.events import Institution, Order
from simulation.people import between, digits, shuffled
from simulation.sales import CHANNEL_CUT_SECOND, SAME_DAY_SECOND, instant
from simulation.span import Span
from simulation.terms import DistrictTerms

BatchKey = tuple[str, int, date]  # channel, institution_no, day settled
AccountDay = tuple[int, date]

_LARGEST_UNLUCKY_BATCH = 12
#: A file that is late on a day nobody works, and there before anybody does, is missed by no supervisor.
_MISSED_BY_PEOPLE = (StatementFate.LATE_FILE, StatementFate.OVERTAKEN)
#: Calendar days from the defective day until all of its and the following days' files are there and sound.
_DAYS_UNTIL_SOUND = {
    StatementFate.LATE_FILE: 1,
    StatementFate.CONTINUITY: 1,
    StatementFate.BALANCE: 1,
    StatementFate.OVERTAKEN: 2,
}
_MOST_CLASS_HOURS, _MOST_AMOUNT = 60, 500000
_LARGEST_TAKEN_OUT = 200000  # fen; a bank's slip takes out what the account can bear


@dataclass(slots=True)
class Plan:
    """The fates of a district. ``orders`` are those that were truly paid, ``arrivals`` the day their money should come
    (by order id); ``extra_reports`` are orders the platform reports although no payment of their own exists, by the id of
    the order they repeat; ``quiet`` are account-days kept free of money defects; ``visible_on`` is when the statement of an
    account-day with a late right file can be read (None: never).
    """

    orders: list[Order]
    arrivals: dict[str, date]
    order_fates: dict[str, OrderFate] = field(default_factory=dict)
    batch_fates: dict[BatchKey, BatchFate] = field(default_factory=dict)
    statement_fates: dict[AccountDay, StatementFate] = field(default_factory=dict)
    visible_on: dict[AccountDay, date | None] = field(default_factory=dict)
    extra_reports: dict[str, Order] = field(default_factory=dict)
    twins: list[tuple[Order, Order]] = field(default_factory=list)
    merged: list[tuple[Order, Order]] = field(default_factory=list)
    strays: list[tuple[StrayKind, int, date]] = field(default_factory=list)
    quiet: set[AccountDay] = field(default_factory=set)
    interest_on: date | None = None
    batches: dict[BatchKey, list[Order]] = field(default_factory=dict)

    def touched(self, order: Order) -> bool:
        """Whether this order must not be taught within the span, because a defect keeps its money in doubt."""
        fate = self.order_fates.get(order.order_id)
        if fate is not None and fate is not OrderFate.AFTER_CUT:
            return True
        return batch_key(order, self.arrivals) in self.batch_fates


def batch_key(order: Order, arrivals: dict[str, date]) -> BatchKey:
    """The settlement batch an order belongs to."""
    return order.channel, order.institution_no, arrivals[order.order_id]


def make_plan(
    rng: random.Random,
    *,
    orders: tuple[Order, ...],
    institutions: tuple[Institution, ...],
    span: Span,
    terms: DistrictTerms,
    rates: DefectRates,
) -> Plan:
    """Draw the fates. The orders come back with the payment times and identities their fates gave them."""
    rng_arrivals, rng_fates = random.Random(rng.random()), random.Random(rng.random())
    plan = Plan(list(orders), {})
    _Planner(plan, rng_fates, institutions=institutions, span=span, terms=terms, rates=rates).draw(rng_arrivals)
    return plan


class _Planner:
    """The draw, in the order that keeps fates apart: statements, traps, batches, orders, strays."""

    def __init__(
        self,
        plan: Plan,
        rng: random.Random,
        *,
        institutions: tuple[Institution, ...],
        span: Span,
        terms: DistrictTerms,
        rates: DefectRates,
    ) -> None:
        count = len(plan.orders)
        self.plan, self.rng, self.institutions, self.span, self.terms, self.rates = plan, rng, institutions, span, terms, rates
        self.thousands = count / 1000
        self.shuffled_numbers = shuffled(rng, range(count))
        self.used: set[str] = set()

    def draw(self, rng_arrivals: random.Random) -> None:
        if self.rates.interest:
            self.plan.interest_on = interest_day(self.span)
        self._statements()
        rates = dict(self.rates.order_fates)
        self._after_cut(self._wanted(rates.get(OrderFate.AFTER_CUT, 0.0)))
        for order in self.plan.orders:
            self.plan.arrivals[order.order_id] = _arrival(order, rng_arrivals)
        for order in self.plan.orders:
            if order.channel != "bank_transfer":
                self.plan.batches.setdefault(batch_key(order, self.plan.arrivals), []).append(order)
        self._batches()
        for fate, rate in self.rates.order_fates:
            if fate is not OrderFate.AFTER_CUT:
                self._orders(fate, self._wanted(rate))
        for kind, rate in self.rates.strays:
            self._strays(kind, self._wanted(rate))

    def _wanted(self, rate: float) -> int:
        return max(1, int(rate * self.thousands + 0.5)) if rate > 0 else 0

    def _statements(self) -> None:
        """Defective statements stand at least two days apart on one account, never on the first or the interest day."""
        days = self.span.days
        end = self.span.end
        for fate, wanted in self.rates.statement_fates:
            count = wanted
            lasts = _DAYS_UNTIL_SOUND.get(fate, 0)
            choices = [end] if fate is StatementFate.NEVER else list(days[1 : -max(1, lasts)])
            if fate in _MISSED_BY_PEOPLE:
                choices = [day for day in choices if day in self.span.working]
            spots = shuffled(self.rng, [(each.institution_no, day) for each in self.institutions for day in choices])
            for spot in spots:
                if count == 0:
                    break
                touched = [(spot[0], spot[1] + timedelta(days=step)) for step in range(max(1, lasts) + 1)]
                on_interest = any(day == self.plan.interest_on for _, day in touched[: max(1, lasts)])
                if on_interest or any(each in self.plan.quiet for each in touched):
                    continue
                count -= 1
                self.plan.statement_fates[spot] = fate
                self.plan.quiet.update([(spot[0], spot[1] - timedelta(days=1)), *touched])
                for each in touched[:-1]:  # from a broken or missing file on, nothing is sound until the right one is there
                    if fate is StatementFate.NEVER:
                        self.plan.visible_on[each] = None
                    elif lasts:
                        self.plan.visible_on[each] = touched[-1][1]

    def _after_cut(self, count: int) -> None:
        for position in self.shuffled_numbers:
            if count == 0:
                return
            order = self.plan.orders[position]
            if order.channel == "bank_transfer" or order.paid_on + timedelta(days=2) > self.span.end:
                continue
            paid_at = instant(order.paid_on, between(self.rng, CHANNEL_CUT_SECOND, 24 * 3600 - 1))
            self.plan.orders[position] = replace(order, paid_at=paid_at)
            self.plan.order_fates[order.order_id] = OrderFate.AFTER_CUT
            self.used.add(order.order_id)
            count -= 1

    def _batches(self) -> None:
        keys = shuffled(self.rng, list(self.plan.batches))
        for fate, wanted in self.rates.batch_fates:
            count = wanted
            for key in keys:
                if count == 0:
                    break
                _, institution_no, settled_on = key
                orders = self.plan.batches[key]
                if key in self.plan.batch_fates or len(orders) > _LARGEST_UNLUCKY_BATCH or settled_on > self.span.end:
                    continue
                if (institution_no, settled_on) in self.plan.quiet or any(order.order_id in self.used for order in orders):
                    continue
                if fate is BatchFate.LOST and self.terms.last_day(settled_on, self.terms.receipt_window) >= self.span.end:
                    continue
                self.plan.batch_fates[key] = fate
                self.used.update(order.order_id for order in orders)
                count -= 1

    def _window_end(self, order: Order) -> date:
        return window_end(order, self.terms)

    def _orders(self, fate: OrderFate, count: int) -> None:
        accept = self._predicate(fate)
        for position in self.shuffled_numbers:
            if count == 0:
                return
            order = self.plan.orders[position]
            arrival = self.plan.arrivals[order.order_id]
            if order.order_id in self.used or not accept(order, arrival):
                continue
            self.used.add(order.order_id)
            self.plan.order_fates[order.order_id] = fate
            count -= 1
            if fate is OrderFate.REPORTED_TWICE:
                self.plan.extra_reports[order.order_id] = self._again(order, order.channel_reference)
            elif fate is OrderFate.TWINS:
                self._twins(order)
            elif fate is OrderFate.MERGED:
                self._merged(order)
            elif fate is OrderFate.LATE:
                self.plan.arrivals[order.order_id] = self._late_day(order)

    def _late_day(self, order: Order) -> date:
        """The first day past the window whose statement is sound."""
        day = self._window_end(order) + timedelta(days=1)
        while (order.institution_no, day) in self.plan.quiet:
            day += timedelta(days=1)
        return day

    def _predicate(self, fate: OrderFate) -> Callable[[Order, date], bool]:
        """Which orders a fate may befall; ``arrival`` is the day the money should come."""
        end, quiet = self.span.end, self.plan.quiet

        def seen(order: Order, arrival: date) -> bool:
            return arrival <= end and (order.institution_no, arrival) not in quiet

        def by_bank(order: Order, arrival: date) -> bool:
            return order.channel == "bank_transfer" and seen(order, arrival)

        def in_time(order: Order) -> bool:
            return self._window_end(order) < end

        half = self.span.days[len(self.span.days) // 2]
        return {
            OrderFate.LOST: lambda order, _: order.channel == "bank_transfer" and in_time(order),
            OrderFate.LOST_IN_CHANNEL: lambda order, _: (
                order.channel != "bank_transfer" and in_time(order) and self._in_company(order)
            ),
            OrderFate.UNREPORTED: by_bank,
            OrderFate.WRONG_AMOUNT: by_bank,
            OrderFate.WRONG_DIRECTION: lambda order, arrival: (
                by_bank(order, arrival) and arrival > half and order.amount <= _LARGEST_TAKEN_OUT
            ),
            OrderFate.BOOKED_TWICE: lambda order, arrival: by_bank(order, arrival) and seen(order, arrival + timedelta(days=1)),
            OrderFate.REPORTED_TWICE: lambda order, arrival: seen(order, arrival) and _twice_within_limits(order),
            OrderFate.LATE: lambda order, arrival: by_bank(order, arrival) and self._late_day(order) <= end,
            OrderFate.TAKEN_BACK: lambda order, arrival: by_bank(order, arrival) and seen(order, arrival + timedelta(days=1)),
            OrderFate.IN_PARTS: by_bank,
            OrderFate.MERGED: lambda order, arrival: by_bank(order, arrival) and _twice_within_limits(order),
            # on the day they are paid: until the lines come, two orders with one reference look like one reported twice
            OrderFate.TWINS: lambda order, arrival: (
                by_bank(order, arrival) and arrival == order.paid_on and _twice_within_limits(order)
            ),
        }[fate]

    def _in_company(self, order: Order) -> bool:
        """Whether the order's batch keeps another, unharmed order, so that the batch still exists."""
        batch = self.plan.batches[batch_key(order, self.plan.arrivals)]
        return sum(each.order_id not in self.used for each in batch) > 1

    def _again(self, order: Order, channel_reference: str) -> Order:
        """Another order of the same payer for the same course, under a number no other order has."""
        serial = 900000 + len(self.plan.extra_reports) + len(self.plan.twins) + len(self.plan.merged)
        return replace(order, order_id=f"OD{order.paid_on:%Y%m%d}{serial:06d}", channel_reference=channel_reference)

    def _twins(self, order: Order) -> None:
        twin = self._again(order, order.channel_reference)
        self.plan.twins.append((order, twin))
        self.plan.order_fates[twin.order_id] = OrderFate.TWINS
        self.plan.arrivals[twin.order_id] = self.plan.arrivals[order.order_id]
        self.plan.orders.append(twin)

    def _merged(self, order: Order) -> None:
        """The same payer's second, smaller order, paid by the same transfer; its amount differs, so it is no second report."""
        again = self._again(order, order.channel_reference)
        smaller = replace(again, amount=order.amount // 2, class_hours=max(1, order.class_hours // 2))
        self.plan.merged.append((order, smaller))
        self.plan.order_fates[smaller.order_id] = OrderFate.MERGED
        self.plan.arrivals[smaller.order_id] = self.plan.arrivals[order.order_id]
        self.plan.orders.append(smaller)

    def _strays(self, kind: StrayKind, count: int) -> None:
        days = self.span.days
        choices = days[1:] if kind is StrayKind.UNIDENTIFIED else days[len(days) // 2 :]
        spots = [(each.institution_no, day) for each in self.institutions for day in choices]
        spots = [spot for spot in shuffled(self.rng, spots) if spot not in self.plan.quiet]
        self.plan.strays.extend((kind, *spots[number % len(spots)]) for number in range(count if spots else 0))


def window_end(order: Order, terms: DistrictTerms) -> date:
    """The last day on which this order's money may still be called in transit."""
    due = order.paid_on + timedelta(days=terms.channel(order.channel).lag_days)
    return terms.last_day(due, terms.receipt_window)


def interest_day(span: Span) -> date:
    """The 21st of the quarter's last month, when banks book interest to the 20th; else two thirds into the span."""
    for day in span.days:
        if day.month % 3 == 0 and day.day == 21:
            return day
    return span.days[len(span.days) * 2 // 3]


def _twice_within_limits(order: Order) -> bool:
    """Whether one student may have this course outstanding twice (60 class-hours, 5000 yuan)."""
    return order.class_hours * 2 <= _MOST_CLASS_HOURS and order.amount * 2 <= _MOST_AMOUNT


def _arrival(order: Order, rng: random.Random) -> date:
    """The day the money should be booked: T+1 by channel (T+2 after the cut), same day or T+1 by bank transfer."""
    draw = rng.random()
    second = order.paid_at.hour * 3600 + order.paid_at.minute * 60
    if order.channel == "bank_transfer":
        return order.paid_on if second < SAME_DAY_SECOND and draw < 0.7 else order.paid_on + timedelta(days=1)
    return order.paid_on + timedelta(days=2 if second >= CHANNEL_CUT_SECOND else 1)


def another_amount(rng: random.Random, amount: int) -> int:
    """What a bank books by mistake: a fen or a hundred yuan off, or two digits swapped; never the same, always above 0."""
    draw = between(rng, 0, 3)
    if draw == 0:
        return amount + 1
    if draw == 1:
        return amount - 1
    if draw == 2 and amount > 10000:
        return amount - 10000
    text = str(amount)
    swapped = int(text[1] + text[0] + text[2:]) if text[1] != "0" else amount
    return swapped if swapped != amount else amount + int(digits(rng, 2)) + 2
