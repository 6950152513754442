"""The banks' own books: every line each bank posts to each custody account, and what each line truly settles.

Here the fates become lines that differ, fail to come or come twice, and each writes its entry of the answer key in the
same breath.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import accumulate

from bank_adapters.model import Direction
from simulation.defects import BatchFate, Defect, DefectKind, DefectRates, OrderFate, PaymentFate, StrayKind, Trap
from simulation.events import BankMovement, Disbursement, Institution, Order, Refund, RefundRequest, SettlementBatch
from simulation.people import CHANNEL_ACCOUNTS, CHANNEL_COMPANIES, COURSES, STRANGERS, between, digits, person, pick, shuffled
from simulation.plan import BatchKey, Plan, another_amount, window_end
from simulation.sales import instant
from simulation.span import Span
from simulation.terms import DistrictTerms

_FEE_PER_MILLE = 6
_BATCH_PREFIX = {"wechat": "WX", "alipay": "AL"}
_K = DefectKind


@dataclass(slots=True)
class BankBooks:
    """Lines, settlement batches and what the key says about them, as they are made.

    ``arrived`` maps an order id to the day its money was truly booked; ``paid_out`` an instruction or refund reference to
    the day it left. Defects carry the movements' account-days until files have names (``shown_on``).
    """

    institutions: tuple[Institution, ...]
    span: Span
    terms: DistrictTerms
    rng: random.Random
    movements: list[BankMovement] = field(default_factory=list)
    settlements: list[SettlementBatch] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    traps: list[Trap] = field(default_factory=list)
    arrived: dict[str, date] = field(default_factory=dict)
    paid_out: dict[str, date] = field(default_factory=dict)
    shown_on: dict[int, tuple[tuple[int, date], ...]] = field(default_factory=dict)
    serials: dict[tuple[int, date], int] = field(default_factory=dict)

    # -- writing -------------------------------------------------------------------------------------------------

    def book(
        self,
        institution_no: int,
        day: date,
        direction: Direction,
        amount: int,
        end_to_end: str | None,
        party: tuple[str | None, str | None],
        description: str,
        purpose: str,
        settles: tuple[str, ...] = (),
        certainty: str = "never",
        *,
        code: str = "NTRF",
        nameless: bool = False,
        hours: tuple[int, int] = (9, 17),
    ) -> BankMovement | None:
        """Post one line, unless its day lies past the span. ``nameless`` lines carry no reference of the bank."""
        if day > self.span.end:
            return None
        key = (institution_no, day)
        serial = self.serials[key] = self.serials.get(key, 0) + 1
        bank = self.institutions[institution_no].bank_code
        line = BankMovement(
            institution_no=institution_no,
            booking_date=day,
            booked_at=instant(day, between(self.rng, hours[0] * 3600, hours[1] * 3600 - 1)),
            direction=direction,
            amount=amount,
            bank_reference=None if nameless else f"{bank}{day:%y%m%d}{institution_no % 1000:03d}{serial:04d}",
            end_to_end_reference=end_to_end,
            counterparty_name=party[0],
            counterparty_account=party[1],
            description=description,
            transaction_code=code,
            purpose=purpose,
            book_references=settles,
            certainty=certainty,
        )
        self.movements.append(line)
        return line

    def defect(
        self,
        kind: DefectKind,
        institution_no: int,
        business_date: date,
        amount: int,
        difference: int,
        references: Iterable[str],
        sentence: str,
        lines: Iterable[BankMovement | None] = (),
        *,
        also: tuple[DefectKind, ...] = (),
        money_from: date | None = None,
        resolvable: bool = True,
    ) -> None:
        """Enter one defect into the key. Ids are given when all are known."""
        booked = [line for line in lines if line is not None]
        self.shown_on[len(self.defects)] = tuple((line.institution_no, line.booking_date) for line in booked)
        self.defects.append(
            Defect(
                defect_id="",
                kind=kind,
                institution_no=institution_no,
                business_date=business_date,
                amount=amount,
                difference=difference,
                references=tuple(references),
                bank_references=tuple(line.bank_reference for line in booked if line.bank_reference),
                resolvable=resolvable,
                also_expected=also,
                money_from=money_from or business_date,
                sentence=sentence,
            )
        )

    # -- money coming in -----------------------------------------------------------------------------------------

    def receive_transfers(self, plan: Plan) -> None:
        """Every order paid by bank transfer, each by a line of its own."""
        for order in plan.orders:
            if order.channel == "bank_transfer":
                fate = plan.order_fates.get(order.order_id)
                if fate is not OrderFate.TWINS:
                    self._transfer(order, plan, fate)
        for first, second in plan.twins:
            self._twins(first, second, plan.arrivals[first.order_id])

    def _slip(self, order: Order, day: date, amount: int, certainty: str, *, direction: Direction = Direction.IN) -> BankMovement | None:
        same_day = day == order.paid_on
        settles = () if certainty == "never" else (order.order_id,)
        line = self.book(
            order.institution_no, day, direction, amount, order.order_id, (order.payer_name, order.payer_account),
            f"{order.course_name}培训费", "order", settles, certainty, hours=(17, 23) if same_day else (8, 18),
        )  # fmt: skip
        if line is not None:
            self.arrived.setdefault(order.order_id, day)
        return line

    def _transfer(self, order: Order, plan: Plan, fate: OrderFate | None) -> None:
        day, yuan = plan.arrivals[order.order_id], _yuan(order.amount)
        tell = (order.order_id, order.channel_reference)
        if fate is None:
            self._slip(order, day, order.amount, "required")
        elif fate is OrderFate.LOST:
            seen = window_end(order, self.terms) + timedelta(days=1)
            self.defect(_K.MISSING_IN_BANK, order.institution_no, seen, order.amount, -order.amount, tell,
                        f"Order {order.order_id} was reported paid ({yuan}) on {order.paid_on}; the money never arrived.")  # fmt: skip
        elif fate is OrderFate.UNREPORTED:
            line = self._slip(order, day, order.amount, "never")
            self.defect(_K.MISSING_IN_LEDGER, order.institution_no, day, order.amount, order.amount, (order.order_id,),
                        f"{yuan} arrived for order {order.order_id}, which the platform never reported.", (line,))  # fmt: skip
        elif fate is OrderFate.WRONG_AMOUNT:
            amount = another_amount(self.rng, order.amount)
            line = self._slip(order, day, amount, "never")
            self.defect(_K.AMOUNT_MISMATCH, order.institution_no, day, amount, amount - order.amount, tell,
                        f"Order {order.order_id} was paid with {yuan}; the bank booked {_yuan(amount)}.", (line,))  # fmt: skip
        elif fate is OrderFate.WRONG_DIRECTION:
            line = self._slip(order, day, order.amount, "never", direction=Direction.OUT)
            self.defect(_K.DIRECTION_MISMATCH, order.institution_no, day, order.amount, -2 * order.amount, tell,
                        f"The payment of order {order.order_id} ({yuan}) was booked out of the account instead of into it.", (line,))  # fmt: skip
        elif fate is OrderFate.BOOKED_TWICE:
            first = self._slip(order, day, order.amount, "required")
            again = day + timedelta(days=1)
            line = self._slip(order, again, order.amount, "never")
            self.defect(_K.DUPLICATE_BANK, order.institution_no, again, order.amount, order.amount, tell,
                        f"The bank booked the payment of order {order.order_id} ({yuan}) on {day} and again on {again}.", (line, first))  # fmt: skip
        elif fate is OrderFate.REPORTED_TWICE:
            self._slip(order, day, order.amount, "required")
            self._reported_twice(order, plan)
        elif fate is OrderFate.LATE:
            line = self._slip(order, day, order.amount, "never")
            closed = window_end(order, self.terms) + timedelta(days=1)
            self.defect(_K.LATE, order.institution_no, day, order.amount, 0, tell,
                        f"The payment of order {order.order_id} ({yuan}, paid {order.paid_on}) arrived on {day}, after its window had closed.",
                        (line,), also=(_K.MISSING_IN_BANK,), money_from=closed)  # fmt: skip

    def _reported_twice(self, order: Order, plan: Plan) -> None:
        again = plan.extra_reports[order.order_id]
        self.defect(
            _K.DUPLICATE_LEDGER, order.institution_no, order.paid_on, order.amount, -order.amount,
            (again.order_id, order.order_id, order.channel_reference),
            f"The platform reported one payment ({order.channel_reference}, {_yuan(order.amount)}) as orders {order.order_id} and {again.order_id}.",
            also=(_K.MISSING_IN_BANK,),
        )  # fmt: skip

    def _twins(self, first: Order, second: Order, day: date) -> None:
        """Two lines alike in every character, and two orders that both carry their reference."""
        lines: list[BankMovement | None] = []
        for order in (first, second):
            line = self.book(
                order.institution_no, day, Direction.IN, order.amount, order.channel_reference,
                (order.payer_name, order.payer_account), f"{order.course_name}培训费", "order", nameless=True, hours=(22, 22),
            )  # fmt: skip
            lines.append(line)
            self.arrived[order.order_id] = day
        self.defect(
            _K.AMBIGUOUS, first.institution_no, day, 2 * first.amount, 0,
            (first.channel_reference, first.order_id, second.order_id),
            f"Two identical bank lines of {_yuan(first.amount)} carry the reference {first.channel_reference} of both orders "
            f"{first.order_id} and {second.order_id}; nothing tells which paid which.",
            lines, also=(_K.MISSING_IN_BANK,), resolvable=False,
        )  # fmt: skip

    def settle_batches(self, plan: Plan) -> None:
        """One line for every channel, day and institution with orders to settle; the channel's list beside it."""
        for key in sorted(plan.batches, key=lambda each: (each[2], each[0], each[1])):
            if key[2] <= self.span.end:
                self._batch(key, plan)
        self._leave_out(plan)

    def _batch(self, key: BatchKey, plan: Plan) -> None:
        channel, institution_no, day = key
        listed = [each for each in plan.batches[key] if plan.order_fates.get(each.order_id) is not OrderFate.LOST_IN_CHANNEL]
        ids = tuple(each.order_id for each in listed)
        batch = f"{_BATCH_PREFIX.get(channel, 'CH')}{day:%Y%m%d}{institution_no + 1:06d}"
        gross = sum(each.amount for each in listed)
        self.settlements.append(SettlementBatch(channel, batch, institution_no, day, ids, gross, 0))
        fate = plan.batch_fates.get(key)
        fee = gross * _FEE_PER_MILLE // 1000 if fate is BatchFate.FEE_KEPT else 0
        line = None
        if fate is not BatchFate.LOST:
            line = self.book(
                institution_no, day, Direction.IN, gross - fee, batch, (CHANNEL_COMPANIES.get(channel), CHANNEL_ACCOUNTS.get(channel)),
                "渠道结算款", "settlement", ids if fate is None else (), "required" if fate is None else "never", hours=(10, 12),
            )  # fmt: skip
            for order_id in ids:
                self.arrived[order_id] = day
        if fate is BatchFate.FEE_KEPT:
            self.defect(_K.FEE_VARIANCE, institution_no, day, gross, -fee, (batch, *ids),
                        f"Settlement {batch} of {len(ids)} orders arrived as {_yuan(gross - fee)} instead of {_yuan(gross)}: "
                        f"the channel kept {_yuan(fee)}.", (line,))  # fmt: skip
        elif fate is BatchFate.LOST:
            seen = self._all_missing_on(listed)
            self.defect(_K.MISSING_IN_BANK, institution_no, seen, gross, -gross, (batch, *ids),
                        f"Settlement {batch} of {len(ids)} orders ({_yuan(gross)}) was listed by the channel; the money never arrived.")  # fmt: skip
        for order in listed:
            order_fate = plan.order_fates.get(order.order_id)
            if order_fate is OrderFate.REPORTED_TWICE:
                self._reported_twice(order, plan)
            elif order_fate is OrderFate.AFTER_CUT:
                self.traps.append(Trap("CUT_OFF", institution_no, day, order.amount, (order.order_id,),
                                       f"Order {order.order_id} was paid at {order.paid_at:%H:%M} on {order.paid_on}, after the "
                                       f"channel's cut, and rightly settled on {day}."))  # fmt: skip

    def _all_missing_on(self, orders: list[Order]) -> date:
        return max(window_end(order, self.terms) for order in orders) + timedelta(days=1)

    def _leave_out(self, plan: Plan) -> None:
        for order in plan.orders:
            if plan.order_fates.get(order.order_id) is OrderFate.LOST_IN_CHANNEL:
                self.defect(_K.MISSING_IN_BANK, order.institution_no, self._all_missing_on([order]), order.amount, -order.amount,
                            (order.order_id, order.channel_reference),
                            f"Order {order.order_id} ({_yuan(order.amount)}, {order.channel}) was reported paid on {order.paid_on}; "
                            "the channel neither lists nor pays it.")  # fmt: skip

    # -- money going out -----------------------------------------------------------------------------------------

    def pay_out(self, disbursements: list[Disbursement], refunds: list[Refund], requests: dict[str, RefundRequest], rates: DefectRates, plan: Plan) -> None:
        """The bank executes instructions on their day; a few of them wrongly."""
        for refund in refunds:
            if refund.executed_on is not None:
                reference, request = f"RF{refund.refund_request_id}", requests[refund.refund_request_id]
                self.paid_out[reference] = refund.executed_on
                self.book(refund.institution_no, refund.executed_on, Direction.OUT, refund.amount, reference,
                          (request.payee_name, request.payee_account), "退费", "refund", (reference,), "required", hours=(13, 17))  # fmt: skip
        fates = self._choose(disbursements, rates, plan)
        for each in disbursements:
            if each.executed_on is not None:
                self._disburse(each, fates.get(each.instruction_id))

    def _choose(self, disbursements: list[Disbursement], rates: DefectRates, plan: Plan) -> dict[str, PaymentFate]:
        fates: dict[str, PaymentFate] = {}
        drawn = shuffled(self.rng, disbursements)
        for fate, count in rates.payment_fates:
            left = count
            for each in drawn:
                if left == 0:
                    break
                day = each.executed_on
                if day is None or each.instruction_id in fates or (each.institution_no, day) in plan.quiet:
                    continue
                if fate is PaymentFate.LOST and self.terms.last_day(each.instructed_on, self.terms.payment_window) >= self.span.end:
                    continue
                if fate is PaymentFate.TWICE:
                    again = self.span.working_day_after(day)
                    if again is None or (each.institution_no, again) in plan.quiet:
                        continue
                fates[each.instruction_id] = fate
                left -= 1
        return fates

    def _disburse(self, each: Disbursement, fate: PaymentFate | None) -> None:
        if each.executed_on is None:
            return
        name, day = each.instruction_id, each.executed_on
        if fate is PaymentFate.LOST:
            seen = self.terms.last_day(each.instructed_on, self.terms.payment_window) + timedelta(days=1)
            self.defect(_K.MISSING_IN_BANK, each.institution_no, seen, each.amount, each.amount, (name,),
                        f"The bank never executed disbursement {name} of {_yuan(each.amount)}, instructed on {each.instructed_on}.")  # fmt: skip
            return
        amount = another_amount(self.rng, each.amount) if fate is PaymentFate.WRONG_AMOUNT else each.amount
        line = self._payment(each, day, amount, "never" if fate is PaymentFate.WRONG_AMOUNT else "required")
        self.paid_out[name] = day
        if fate is PaymentFate.WRONG_AMOUNT:
            self.defect(_K.AMOUNT_MISMATCH, each.institution_no, day, amount, each.amount - amount, (name,),
                        f"Disbursement {name} was instructed with {_yuan(each.amount)}; the bank paid {_yuan(amount)}.", (line,))  # fmt: skip
        again = self.span.working_day_after(day) if fate is PaymentFate.TWICE else None
        if again is not None:
            second = self._payment(each, again, each.amount, "never")
            self.defect(_K.DUPLICATE_BANK, each.institution_no, again, each.amount, -each.amount, (name,),
                        f"The bank executed disbursement {name} ({_yuan(each.amount)}) on {day} and again on {again}.", (second, line))  # fmt: skip

    def _payment(self, each: Disbursement, day: date, amount: int, certainty: str) -> BankMovement | None:
        to = self.institutions[each.institution_no]
        settles = () if certainty == "never" else (each.instruction_id,)
        return self.book(each.institution_no, day, Direction.OUT, amount, each.instruction_id,
                         (to.beneficiary_name, to.beneficiary_account), "培训费划拨", "disbursement", settles, certainty, hours=(9, 10))  # fmt: skip

    # -- money of the bank itself and of strangers ---------------------------------------------------------------

    def closings(self, institution_no: int) -> list[int]:
        """The account's closing balance of every day of the span, in fen, with all lines booked so far."""
        moved = dict.fromkeys(self.span.days, 0)
        for line in self.movements:
            if line.institution_no == institution_no:
                moved[line.booking_date] += line.signed
        return list(accumulate(moved.values()))

    def book_strays(self, plan: Plan) -> None:
        """Receipts, payments and charges without any book item. What is taken out never empties the account."""
        for kind, institution_no, day in plan.strays:
            if kind is StrayKind.UNIDENTIFIED:
                amount = pick(self.rng, COURSES).amount  # a price of the list, so that amounts alone would tempt
                line = self.book(institution_no, day, Direction.IN, amount, None, (person(self.rng), f"6228{digits(self.rng, 15)}"),
                                 "跨行转账", "stray", hours=(8, 22))  # fmt: skip
                self.defect(_K.UNIDENTIFIED_RECEIPT, institution_no, day, amount, amount, (),
                            f"{_yuan(amount)} arrived without any reference.", (line,))  # fmt: skip
                continue
            room = min(self.closings(institution_no)[self.span.days.index(day) :]) // 3
            wanted = between(self.rng, 10, 50) * 100 if kind is StrayKind.CHARGE else between(self.rng, 100, 1500) * 100
            amount = min(wanted, room)
            if amount <= 0:
                continue
            if kind is StrayKind.CHARGE:
                line = self.book(institution_no, day, Direction.OUT, amount, None, (None, None), "账户管理费", "stray", code="NCHG")
                self.defect(_K.BANK_CHARGE, institution_no, day, amount, -amount, (),
                            f"The bank charged {_yuan(amount)} for keeping the account.", (line,))  # fmt: skip
            else:
                stranger = pick(self.rng, STRANGERS)
                line = self.book(institution_no, day, Direction.OUT, amount, None, (stranger, f"3301{digits(self.rng, 13)}"), "货款", "stray")
                self.defect(_K.UNEXPLAINED_PAYMENT, institution_no, day, amount, -amount, (),
                            f"{_yuan(amount)} left the account for {stranger} without any instruction.", (line,))  # fmt: skip

    def book_interest(self, plan: Plan) -> None:
        """Interest of 0.2 % a year on the closing balances so far, one line an account."""
        if plan.interest_on is None:
            return
        until = self.span.days.index(plan.interest_on)
        for each in self.institutions:
            amount = max(1, sum(self.closings(each.institution_no)[:until]) * 2 // (1000 * 360))
            line = self.book(each.institution_no, plan.interest_on, Direction.IN, amount, None, (None, None), "结息", "stray",
                             code="NINT", hours=(6, 8))  # fmt: skip
            self.defect(_K.BANK_INTEREST, each.institution_no, plan.interest_on, amount, amount, (),
                        f"The bank credited {_yuan(amount)} of interest.", (line,))  # fmt: skip


def _yuan(amount: int) -> str:
    return f"CNY {amount // 100:,}.{amount % 100:02d}"
