"""A district: the whole truth of a simulation, and the act of making one.

Truth first: sales, fates, teaching, outflows and the banks' lines are all drawn from the seed and fixed before a single
file is written. The same seed and terms make the same district on every machine (only ``random.Random.random`` is drawn
from, and no set is ever iterated).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from simulation.bank_books import BankBooks
from simulation.defects import PROFILES, Defect, OrderFate, StatementFate, Trap
from simulation.events import (
    BankMovement,
    ClassHourEvent,
    Disbursement,
    Institution,
    Order,
    Refund,
    RefundRequest,
    Release,
    SettlementBatch,
)
from simulation.outflows import deemed_day, disbursements_of, refund_of, releases_of
from simulation.payments import book_interest, book_strays, pay_disbursements, pay_refunds
from simulation.plan import Plan, make_plan, window_end
from simulation.receipts import receive_transfers, settle_batches
from simulation.sales import make_institutions, make_orders
from simulation.span import SimulationRefused, Span, span_of
from simulation.teaching import teach
from simulation.terms import DistrictTerms

#: A Monday after the spring festival, with the Qingming holiday five weeks ahead.
DEFAULT_START = date(2026, 3, 2)
_LARGEST = 100000


@dataclass(frozen=True, slots=True)
class District:
    """Everything that happened, and everything that went wrong.

    ``reported`` are the orders the platform reports (in order of payment), ``movements`` the banks' lines (account, then
    time). ``statement_fates`` names account-days whose statement file is defective; ``defects`` still lack those of the
    statement files, which writing adds when the files have names. ``last_in_time`` gives the last day each reported order's
    money may be in transit, ``arrived`` the day it truly came.
    """

    seed: int
    profile: str
    terms: DistrictTerms
    span: Span
    institutions: tuple[Institution, ...]
    reported: tuple[Order, ...]
    class_hour_events: tuple[ClassHourEvent, ...]
    refund_requests: tuple[RefundRequest, ...]
    settlements: tuple[SettlementBatch, ...]
    movements: tuple[BankMovement, ...]
    releases: tuple[Release, ...]
    refunds: tuple[Refund, ...]
    disbursements: tuple[Disbursement, ...]
    defects: tuple[Defect, ...]
    traps: tuple[Trap, ...]
    shown_on: Mapping[int, tuple[tuple[int, date], ...]]
    statement_fates: Mapping[tuple[int, date], StatementFate]
    visible_on: Mapping[tuple[int, date], date | None]
    arrived: Mapping[str, date]
    paid_out: Mapping[str, date]
    last_in_time: Mapping[str, date]
    bad_rows: int


def simulate(
    *,
    seed: int,
    institutions: int,
    orders: int,
    days: int,
    terms: DistrictTerms,
    defects: str = "none",
    start: date = DEFAULT_START,
) -> District:
    """Make a district of ``institutions`` that sell ``orders`` orders within ``days`` working days from ``start``.

    ``defects`` is the name of a profile (simulation.defects.PROFILES). Raises SimulationRefused for arguments that
    describe no district, such as a span that leaves the calendar.
    """
    rates = PROFILES.get(defects)
    if rates is None:
        raise SimulationRefused(f"there is no defect profile {defects!r}; choose one of {', '.join(PROFILES)}")
    if not 1 <= institutions <= _LARGEST or orders < 0:
        raise SimulationRefused(f"a district has 1 to {_LARGEST} institutions and no negative number of orders")
    span = span_of(start, days, terms.calendar)
    schools = make_institutions(_stream(seed, "institutions"), institutions, terms, span.start)
    sold = make_orders(_stream(seed, "orders"), orders, schools, span)
    plan = make_plan(_stream(seed, "plan"), orders=sold, institutions=schools, span=span, terms=terms, rates=rates)
    taught = _Teaching(plan, schools, span, terms)
    taught.play(_stream(seed, "teaching"))
    books = BankBooks(schools, span, terms, _stream(seed, "banks"))
    receive_transfers(books, plan)
    settle_batches(books, plan)
    disbursements = [
        each for school in schools for each in disbursements_of(school, taught.releases[school.institution_no], span)
    ]
    pay_refunds(books, taught.refunds, {each.refund_request_id: each for each in taught.requests})
    pay_disbursements(books, disbursements, rates, plan)
    book_strays(books, plan)
    book_interest(books, plan)
    reported = _reported(plan)
    return District(
        seed=seed,
        profile=defects,
        terms=terms,
        span=span,
        institutions=schools,
        reported=reported,
        class_hour_events=tuple(sorted(taught.events, key=lambda each: (each.event_at, each.order_id, each.class_hour_no))),
        refund_requests=tuple(sorted(taught.requests, key=lambda each: (each.reported_on, each.refund_request_id))),
        settlements=tuple(books.settlements),
        movements=tuple(
            sorted(books.movements, key=lambda each: (each.institution_no, each.booked_at, each.bank_reference or ""))
        ),
        releases=tuple(each for school in schools for each in taught.releases[school.institution_no]),
        refunds=tuple(taught.refunds),
        disbursements=tuple(disbursements),
        defects=tuple(books.defects),
        traps=tuple(books.traps),
        shown_on=books.shown_on,
        statement_fates=plan.statement_fates,
        visible_on=plan.visible_on,
        arrived=books.arrived,
        paid_out=books.paid_out,
        last_in_time={each.order_id: window_end(each, terms) for each in reported},
        bad_rows=rates.bad_rows if reported else 0,
    )


def _stream(seed: int, topic: str) -> random.Random:
    """A stream of its own for every topic, so that defects do not change what is sold."""
    return random.Random(f"{seed}/{topic}")


def _reported(plan: Plan) -> tuple[Order, ...]:
    """What the platform reports: all but what it lost, and what it reports a second time."""
    orders = [each for each in plan.orders if plan.order_fates.get(each.order_id) is not OrderFate.UNREPORTED]
    orders += list(plan.extra_reports.values())
    return tuple(sorted(orders, key=lambda each: (each.paid_at, each.order_id)))


class _Teaching:
    """Plays every undisturbed order: class-hours, answers, refund requests, and what the rules make of them."""

    def __init__(self, plan: Plan, institutions: tuple[Institution, ...], span: Span, terms: DistrictTerms) -> None:
        self.plan, self.institutions, self.span, self.terms = plan, institutions, span, terms
        self.events: list[ClassHourEvent] = []
        self.requests: list[RefundRequest] = []
        self.refunds: list[Refund] = []
        self.releases: dict[int, list[Release]] = {each.institution_no: [] for each in institutions}

    def funded_on(self, order: Order) -> date | None:
        """The day on which the order's receipt can be read in a sound statement; None past the span."""
        day: date | None = self.plan.arrivals[order.order_id]
        if day is not None:
            day = self.plan.visible_on.get((order.institution_no, day), day)
        return day if day is not None and day <= self.span.end else None

    def play(self, rng: random.Random) -> None:
        deemed = deemed_day(self.terms.calendar)
        for number, order in enumerate(self.plan.orders, start=1):
            own = random.Random(rng.random())  # a defect of one order must not change the teaching of the next
            if self.plan.touched(order):
                continue
            school = self.institutions[order.institution_no]
            funded_on = self.funded_on(order)
            told = teach(own, order, school, self.span, number)
            releases = releases_of(order, told.hours, funded_on, deemed_after=school.deemed_after, span=self.span, deemed=deemed)
            self.events.extend(told.events)
            self.releases[order.institution_no].extend(releases)
            if told.refund is not None:
                self.requests.append(told.refund)
                refund = refund_of(
                    order,
                    told,
                    releases,
                    funded_on,
                    silence=self.terms.refund_silence,
                    span=self.span,
                    deemed=deemed,
                )
                if refund is not None:
                    self.refunds.append(refund)


def with_paths(defect: Defect, defect_no: int, files: tuple[str, ...]) -> Defect:
    """The defect with its id and the files it shows in."""
    return replace(defect, defect_id=f"D{defect_no:04d}", files=files)
