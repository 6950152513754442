"""Money going out, and money of the bank itself and of strangers: what belongs to no order's payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from bank_adapters.model import Direction
from simulation.bank_books import BankBooks, Line, Party, yuan
from simulation.defects import DefectKind, DefectRates, OrderFate, PaymentFate, StrayKind
from simulation.events import BankMovement, Disbursement, Refund, RefundRequest
from simulation.people import COURSES, STRANGERS, between, digits, person, pick, shuffled
from simulation.plan import AccountDay, Plan, another_amount, window_end

_A_DAY = timedelta(days=1)
_INTEREST_PER_MILLE_A_YEAR = 2
_DAYS_OF_A_BANK_YEAR = 360


def pay_refunds(books: BankBooks, refunds: Sequence[Refund], requests: Mapping[str, RefundRequest]) -> None:
    """Post every refund executed within the span, each under its reference RF<refund request id>."""
    for refund in refunds:
        if refund.executed_on is not None:
            reference, request = f"RF{refund.refund_request_id}", requests[refund.refund_request_id]
            to = Party(request.payee_name, request.payee_account)
            line = Line(refund.institution_no, refund.executed_on, Direction.OUT, refund.amount, reference, to, "退费", "refund")
            books.post(line._replace(settles=(reference,), certainty="required", opens=13, shuts=17))


def pay_disbursements(books: BankBooks, disbursements: Sequence[Disbursement], rates: DefectRates, plan: Plan) -> None:
    """Post every disbursement executed within the span; a few are executed wrongly."""
    fates = _choose(books, disbursements, rates, plan.quiet)
    for each in disbursements:
        if each.executed_on is not None:
            _disburse(books, each, each.executed_on, fates.get(each.instruction_id))


def _choose(
    books: BankBooks, disbursements: Sequence[Disbursement], rates: DefectRates, quiet: set[AccountDay]
) -> dict[str, PaymentFate]:
    fates: dict[str, PaymentFate] = {}
    drawn = shuffled(books.rng, disbursements)
    for fate, wanted in rates.payment_fates:
        left = wanted
        for each in drawn:
            if left == 0:
                break
            here, day = each.institution_no, each.executed_on
            if day is None or each.instruction_id in fates or (here, day) in quiet:
                continue
            if fate is PaymentFate.LOST and _last_day(books, each) >= books.span.end:
                continue
            if fate in (PaymentFate.TWICE, PaymentFate.RETURNED):
                again = books.span.working_day_after(day)
                if again is None or (here, again) in quiet:
                    continue
            fates[each.instruction_id] = fate
            left -= 1
    return fates


def _last_day(books: BankBooks, each: Disbursement) -> date:
    return books.terms.last_day(each.instructed_on, books.terms.payment_window)


def _disburse(books: BankBooks, each: Disbursement, day: date, fate: PaymentFate | None) -> None:
    here, name = each.institution_no, each.instruction_id
    if fate is PaymentFate.LOST:
        books.enter(
            DefectKind.MISSING_IN_BANK,
            here,
            _last_day(books, each) + _A_DAY,
            amount=each.amount,
            difference=each.amount,
            references=(name,),
            items=(name,),
            sentence=f"The bank never executed disbursement {name} of {yuan(each.amount)}, instructed on {each.instructed_on}.",
        )
        return
    books.paid_out[name] = day
    if fate is PaymentFate.WRONG_AMOUNT:
        paid = another_amount(books.rng, each.amount)
        books.enter(
            DefectKind.AMOUNT_MISMATCH,
            here,
            day,
            amount=paid,
            difference=each.amount - paid,
            references=(name,),
            items=(name,),
            lines=(_payment(books, each, day, paid),),
            sentence=f"Disbursement {name} was instructed with {yuan(each.amount)}; the bank paid {yuan(paid)}.",
        )
        return
    first = _payment(books, each, day, each.amount, "required")
    if fate is None:
        return
    again = books.span.working_day_after(day)
    if again is not None and fate is PaymentFate.RETURNED:
        _returned(books, each, again, first)
    elif again is not None:
        books.enter(
            DefectKind.DUPLICATE_BANK,
            here,
            again,
            amount=each.amount,
            difference=-each.amount,
            references=(name,),
            items=(name,),
            lines=(_payment(books, each, again, each.amount),),
            context=(first,),
            sentence=f"The bank executed disbursement {name} ({yuan(each.amount)}) on {day} and again on {again}.",
        )


def _returned(books: BankBooks, each: Disbursement, day: date, first: BankMovement | None) -> None:
    school = books.institutions[each.institution_no]
    sender = Party(school.beneficiary_name, school.beneficiary_account)
    line = Line(each.institution_no, day, Direction.IN, each.amount, each.instruction_id, sender, "退汇", "return", code="NRTI")
    books.enter(
        DefectKind.RETURNED,
        each.institution_no,
        day,
        amount=each.amount,
        difference=each.amount,
        references=(each.instruction_id,),
        items=(each.instruction_id,),
        lines=(books.post(line),),
        context=(first,),
        sentence=f"Disbursement {each.instruction_id} ({yuan(each.amount)}) came back on {day}.",
    )


def _payment(books: BankBooks, each: Disbursement, day: date, amount: int, certainty: str = "never") -> BankMovement | None:
    school = books.institutions[each.institution_no]
    to = Party(school.beneficiary_name, school.beneficiary_account)
    line = Line(each.institution_no, day, Direction.OUT, amount, each.instruction_id, to, "培训费划拨", "disbursement")
    settles = () if certainty == "never" else (each.instruction_id,)
    return books.post(line._replace(settles=settles, certainty=certainty, opens=9, shuts=10))


def book_strays(books: BankBooks, plan: Plan) -> None:
    """Post receipts, payments and charges without any book item. What is taken out never empties the account."""
    for kind, here, day in plan.strays:
        if kind is StrayKind.UNIDENTIFIED:
            _unidentified(books, plan, here, day)
            continue
        room = min(books.closings(here)[books.span.days.index(day) :]) // 3
        most = between(books.rng, 10, 50) if kind is StrayKind.CHARGE else between(books.rng, 100, 1500)
        amount = min(most * 100, room)
        if amount > 0 and kind is StrayKind.CHARGE:
            line = Line(here, day, Direction.OUT, amount, None, Party(None, None), "账户管理费", "stray", code="NCHG")
            books.enter(
                DefectKind.BANK_CHARGE,
                here,
                day,
                amount=amount,
                difference=-amount,
                lines=(books.post(line),),
                sentence=f"The bank charged {yuan(amount)} for keeping the account.",
            )
        elif amount > 0:
            stranger = Party(pick(books.rng, STRANGERS), f"3301{digits(books.rng, 13)}")
            line = Line(here, day, Direction.OUT, amount, None, stranger, "货款", "stray")
            books.enter(
                DefectKind.UNEXPLAINED_PAYMENT,
                here,
                day,
                amount=amount,
                difference=-amount,
                lines=(books.post(line),),
                sentence=f"{yuan(amount)} left the account for {stranger.name} without any instruction.",
            )


def _unidentified(books: BankBooks, plan: Plan, here: int, day: date) -> None:
    """A receipt without any reference, of an amount of the price list: amounts alone must tempt, and tempt in vain.

    At most one order of that amount is overdue and open on the day, and no other such receipt has the amount: where several
    could be meant, "nobody can tell" would be as right an answer as "unidentified".
    """
    taken = {each.amount for each in books.movements if each.institution_no == here and each.purpose == "stray"}
    amounts = [each.amount for each in shuffled(books.rng, COURSES) if each.amount not in taken]
    amount = next((each for each in amounts if _overdue(books, plan, here, day, each) <= 1), None)
    if amount is None:
        return
    payer = Party(person(books.rng), f"6228{digits(books.rng, 15)}")
    line = Line(here, day, Direction.IN, amount, None, payer, "跨行转账", "stray", opens=8, shuts=22)
    books.enter(
        DefectKind.UNIDENTIFIED_RECEIPT,
        here,
        day,
        amount=amount,
        difference=amount,
        lines=(books.post(line),),
        sentence=f"{yuan(amount)} arrived without any reference.",
    )


def _overdue(books: BankBooks, plan: Plan, here: int, day: date, amount: int) -> int:
    """How many reported orders of this amount should have arrived by ``day``, have not, and are still in time."""
    reported = [each for each in plan.orders if plan.order_fates.get(each.order_id) is not OrderFate.UNREPORTED]
    return sum(
        each.institution_no == here
        and each.amount == amount
        and each.paid_on + timedelta(days=books.terms.channel(each.channel).lag_days) <= day <= window_end(each, books.terms)
        and books.arrived.get(each.order_id, date.max) > day
        for each in (*reported, *plan.extra_reports.values())
    )


def book_interest(books: BankBooks, plan: Plan) -> None:
    """Post interest of 0.2 % a year on the closing balances so far, one line an account."""
    if plan.interest_on is None:
        return
    until = books.span.days.index(plan.interest_on)
    for school in books.institutions:
        here = school.institution_no
        earned = sum(books.closings(here)[:until]) * _INTEREST_PER_MILLE_A_YEAR // (1000 * _DAYS_OF_A_BANK_YEAR)
        amount = max(1, earned)
        line = Line(here, plan.interest_on, Direction.IN, amount, None, Party(None, None), "结息", "interest", code="NINT")
        books.enter(
            DefectKind.BANK_INTEREST,
            here,
            plan.interest_on,
            amount=amount,
            difference=amount,
            lines=(books.post(line._replace(opens=6, shuts=8)),),
            sentence=f"The bank credited {yuan(amount)} of interest.",
        )
