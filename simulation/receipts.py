"""Money coming in: bank transfers, one line an order, and channel settlements, one line a batch.

Here the fates of orders and batches become lines that differ, fail to come or come twice, and each is entered into the key
in the same breath.
"""

from __future__ import annotations

from datetime import date, timedelta

from bank_adapters.model import Direction
from simulation.bank_books import BankBooks, Line, Party, yuan
from simulation.defects import BatchFate, DefectKind, OrderFate, Trap
from simulation.events import BankMovement, Order, SettlementBatch
from simulation.people import CHANNEL_ACCOUNTS, CHANNEL_COMPANIES
from simulation.plan import BatchKey, Plan, another_amount, window_end

_FEE_PER_MILLE = 6
_BATCH_PREFIX = {"wechat": "WX", "alipay": "AL"}
_A_DAY = timedelta(days=1)


def receive_transfers(books: BankBooks, plan: Plan) -> None:
    """Post every order paid by bank transfer, each by a line of its own."""
    for order in plan.orders:
        if order.channel == "bank_transfer":
            fate = plan.order_fates.get(order.order_id)
            if fate not in (OrderFate.TWINS, OrderFate.MERGED):
                _receive(books, plan, order, fate)
    for first, second in plan.twins:
        _twins(books, first, second, plan.arrivals[first.order_id])
    for first, second in plan.merged:
        _merged(books, first, second, plan.arrivals[first.order_id])


def _slip(
    books: BankBooks, order: Order, day: date, amount: int, certainty: str = "never", *, direction: Direction = Direction.IN
) -> BankMovement | None:
    """The line of one order's transfer, under the order's id."""
    same_day = day == order.paid_on
    line = books.post(
        Line(
            order.institution_no,
            day,
            direction,
            amount,
            order.order_id,
            Party(order.payer_name, order.payer_account),
            f"{order.course_name}培训费",
            "order",
            settles=() if certainty == "never" else (order.order_id,),
            certainty=certainty,
            opens=17 if same_day else 8,
            shuts=23 if same_day else 18,
        )
    )
    if line is not None:
        books.arrived.setdefault(order.order_id, day)
    return line


def _receive(books: BankBooks, plan: Plan, order: Order, fate: OrderFate | None) -> None:
    day, here, amount, order_id = plan.arrivals[order.order_id], order.institution_no, order.amount, order.order_id
    told = (order_id, order.channel_reference)
    if fate is None:
        _slip(books, order, day, amount, "required")
    elif fate is OrderFate.LOST:
        books.enter(
            DefectKind.MISSING_IN_BANK,
            here,
            window_end(order, books.terms) + _A_DAY,
            amount=amount,
            difference=-amount,
            references=told,
            items=(order_id,),
            sentence=f"Order {order_id} was reported paid ({yuan(amount)}) on {order.paid_on}; the money never arrived.",
        )
    elif fate is OrderFate.UNREPORTED:
        books.enter(
            DefectKind.MISSING_IN_LEDGER,
            here,
            day,
            amount=amount,
            difference=amount,
            references=(order_id,),
            lines=(_slip(books, order, day, amount),),
            sentence=f"{yuan(amount)} arrived for order {order_id}, which the platform never reported.",
        )
    elif fate is OrderFate.WRONG_AMOUNT:
        booked = another_amount(books.rng, amount)
        books.enter(
            DefectKind.AMOUNT_MISMATCH,
            here,
            day,
            amount=booked,
            difference=booked - amount,
            references=told,
            items=(order_id,),
            lines=(_slip(books, order, day, booked),),
            sentence=f"Order {order_id} was paid with {yuan(amount)}; the bank booked {yuan(booked)}.",
        )
    elif fate is OrderFate.WRONG_DIRECTION:
        books.enter(
            DefectKind.DIRECTION_MISMATCH,
            here,
            day,
            amount=amount,
            difference=-2 * amount,
            references=told,
            items=(order_id,),
            lines=(_slip(books, order, day, amount, direction=Direction.OUT),),
            sentence=f"The payment of order {order_id} ({yuan(amount)}) was booked out of the account instead of into it.",
        )
    elif fate is OrderFate.BOOKED_TWICE:
        first = _slip(books, order, day, amount, "required")
        books.enter(
            DefectKind.DUPLICATE_BANK,
            here,
            day + _A_DAY,
            amount=amount,
            difference=amount,
            references=told,
            items=(order_id,),
            lines=(_slip(books, order, day + _A_DAY, amount),),
            context=(first,),
            sentence=f"The bank booked the payment of order {order_id} ({yuan(amount)}) on {day} and again on {day + _A_DAY}.",
        )
    elif fate is OrderFate.TAKEN_BACK:
        first = _slip(books, order, day, amount, "required")
        _taken_back(books, order, day + _A_DAY, first)
    elif fate is OrderFate.IN_PARTS:
        _in_parts(books, order, day)
    elif fate is OrderFate.REPORTED_TWICE:
        _slip(books, order, day, amount, "required")
        _reported_twice(books, plan, order)
    elif fate is OrderFate.LATE:
        books.enter(
            DefectKind.LATE,
            here,
            day,
            amount=amount,
            difference=0,
            references=told,
            items=(order_id,),
            lines=(_slip(books, order, day, amount),),
            also=(DefectKind.MISSING_IN_BANK,),
            money_from=window_end(order, books.terms) + _A_DAY,
            sentence=f"The payment of order {order_id} ({yuan(amount)}, paid {order.paid_on}) arrived on {day}: too late.",
        )


def _taken_back(books: BankBooks, order: Order, day: date, first: BankMovement | None) -> None:
    """The bank reverses a receipt it has booked, under the same reference."""
    payer = Party(order.payer_name, order.payer_account)
    line = Line(order.institution_no, day, Direction.OUT, order.amount, order.order_id, payer, "冲正", "reversal", code="NRTI")
    books.enter(
        DefectKind.RETURNED,
        order.institution_no,
        day,
        amount=order.amount,
        difference=-order.amount,
        references=(order.order_id, order.channel_reference),
        items=(order.order_id,),
        lines=(books.post(line),),
        context=(first,),
        sentence=f"The bank took the payment of order {order.order_id} ({yuan(order.amount)}) back on {day}.",
    )


def _in_parts(books: BankBooks, order: Order, day: date) -> None:
    """One payment booked as two lines of one day: together they are the order's, apart they are nothing."""
    part = max(1, order.amount // 3)
    payer = Party(order.payer_name, order.payer_account)
    for amount in (part, order.amount - part):
        line = Line(
            order.institution_no, day, Direction.IN, amount, order.order_id, payer, f"{order.course_name}培训费", "order_part"
        )
        books.post(line._replace(settles=(order.order_id,), certainty="required", opens=17, shuts=23))
    books.arrived[order.order_id] = day
    sentence = f"Order {order.order_id} ({yuan(order.amount)}) was paid in two parts on {day}, which together are right."
    books.traps.append(Trap("IN_PARTS", order.institution_no, day, order.amount, (order.order_id,), sentence))


def _merged(books: BankBooks, first: Order, second: Order, day: date) -> None:
    """One transfer for two orders, under the number both carry."""
    amount, orders = first.amount + second.amount, (first.order_id, second.order_id)
    payer = Party(first.payer_name, first.payer_account)
    line = Line(first.institution_no, day, Direction.IN, amount, first.channel_reference, payer, "培训费", "order")
    books.post(line._replace(settles=orders, certainty="required", opens=17, shuts=23))
    for order_id in orders:
        books.arrived[order_id] = day
    sentence = f"One transfer of {yuan(amount)} on {day} paid orders {orders[0]} and {orders[1]}."
    books.traps.append(Trap("MERGED", first.institution_no, day, amount, orders, sentence))


def _reported_twice(books: BankBooks, plan: Plan, order: Order) -> None:
    again = plan.extra_reports[order.order_id]
    books.enter(
        DefectKind.DUPLICATE_LEDGER,
        order.institution_no,
        order.paid_on,
        amount=order.amount,
        difference=-order.amount,
        references=(again.order_id, order.order_id, order.channel_reference),
        items=(again.order_id, order.order_id),
        also=(DefectKind.MISSING_IN_BANK,),
        sentence=(
            f"The platform reported one payment ({order.channel_reference}, {yuan(order.amount)}) twice, "
            f"as orders {order.order_id} and {again.order_id}."
        ),
    )


def _twins(books: BankBooks, first: Order, second: Order, day: date) -> None:
    """Two lines alike in every character, and two orders that both carry their reference."""
    lines: list[BankMovement | None] = []
    for order in (first, second):
        payer = Party(order.payer_name, order.payer_account)
        text = f"{order.course_name}培训费"
        line = Line(
            order.institution_no, day, Direction.IN, order.amount, order.channel_reference, payer, text, "order", nameless=True
        )
        lines.append(books.post(line._replace(opens=22, shuts=22)))
        books.arrived[order.order_id] = day
    books.enter(
        DefectKind.AMBIGUOUS,
        first.institution_no,
        day,
        amount=2 * first.amount,
        difference=0,
        references=(first.channel_reference, first.order_id, second.order_id),
        items=(first.order_id, second.order_id),
        lines=lines,
        also=(DefectKind.MISSING_IN_BANK,),
        resolvable=False,
        sentence=(
            f"Two identical bank lines of {yuan(first.amount)} carry the reference {first.channel_reference} of both orders "
            f"{first.order_id} and {second.order_id}; nothing tells which paid which."
        ),
    )


def settle_batches(books: BankBooks, plan: Plan) -> None:
    """Post one line for every channel, day and institution with orders to settle; the channel's list stands beside it."""
    for key in sorted(plan.batches, key=lambda each: (each[2], each[0], each[1])):
        if key[2] <= books.span.end:
            _settle(books, plan, key)
    for order in plan.orders:
        if plan.order_fates.get(order.order_id) is OrderFate.LOST_IN_CHANNEL:
            books.enter(
                DefectKind.MISSING_IN_BANK,
                order.institution_no,
                window_end(order, books.terms) + _A_DAY,
                amount=order.amount,
                difference=-order.amount,
                references=(order.order_id, order.channel_reference),
                items=(order.order_id,),
                sentence=(
                    f"Order {order.order_id} ({yuan(order.amount)}, {order.channel}) was reported paid on {order.paid_on}; "
                    "the channel neither lists nor pays it."
                ),
            )


def _settle(books: BankBooks, plan: Plan, key: BatchKey) -> None:
    channel, here, day = key
    listed = [each for each in plan.batches[key] if plan.order_fates.get(each.order_id) is not OrderFate.LOST_IN_CHANNEL]
    ids = tuple(each.order_id for each in listed)
    batch = f"{_BATCH_PREFIX.get(channel, 'CH')}{day:%Y%m%d}{here + 1:06d}"
    gross = sum(each.amount for each in listed)
    books.settlements.append(SettlementBatch(channel, batch, here, day, ids, gross, 0))
    fate = plan.batch_fates.get(key)
    if fate is BatchFate.LOST:
        books.enter(
            DefectKind.MISSING_IN_BANK,
            here,
            max(window_end(order, books.terms) for order in listed) + _A_DAY,
            amount=gross,
            difference=-gross,
            references=(batch, *ids),
            items=ids,
            sentence=f"Settlement {batch} of {len(ids)} orders ({yuan(gross)}) was listed by the channel and never arrived.",
        )
    else:
        parts = 2 if fate is BatchFate.IN_PARTS else 1
        _arrive(
            books, key, batch, ids, gross, parts=parts, fee=gross * _FEE_PER_MILLE // 1000 if fate is BatchFate.FEE_KEPT else 0
        )
    for order in listed:
        order_fate = plan.order_fates.get(order.order_id)
        if order_fate is OrderFate.REPORTED_TWICE:
            _reported_twice(books, plan, order)
        elif order_fate is OrderFate.AFTER_CUT:
            _trap(books, order, day)


def _arrive(books: BankBooks, key: BatchKey, batch: str, ids: tuple[str, ...], gross: int, *, fee: int, parts: int) -> None:
    """The one line of a settlement batch, less a fee the channel was not to keep; or its ``parts`` lines."""
    channel, here, day = key
    payer = Party(CHANNEL_COMPANIES.get(channel), CHANNEL_ACCOUNTS.get(channel))
    line = Line(here, day, Direction.IN, gross - fee, batch, payer, "渠道结算款", "settlement", opens=10, shuts=12)
    if parts > 1:
        first = max(1, gross // 3)
        sentence = f"Settlement {batch} of {len(ids)} orders ({yuan(gross)}) was paid by two lines on {day}."
        books.traps.append(Trap("IN_PARTS", here, day, gross, (batch, *ids), sentence))
        books.post(line._replace(amount=first, settles=ids, certainty="required"))
        line = line._replace(amount=gross - first)
    posted = books.post(line if fee else line._replace(settles=ids, certainty="required"))
    for order_id in ids:
        books.arrived[order_id] = day
    if fee:
        books.enter(
            DefectKind.FEE_VARIANCE,
            here,
            day,
            amount=gross - fee,
            difference=-fee,
            references=(batch, *ids),
            items=ids,
            lines=(posted,),
            sentence=(
                f"Settlement {batch} of {len(ids)} orders arrived as {yuan(gross - fee)} instead of {yuan(gross)}: "
                f"the channel kept {yuan(fee)}."
            ),
        )


def _trap(books: BankBooks, order: Order, day: date) -> None:
    sentence = (
        f"Order {order.order_id} was paid at {order.paid_at:%H:%M} on {order.paid_on}, after the channel's cut, "
        f"and rightly settled on {day}."
    )
    books.traps.append(Trap("CUT_OFF", order.institution_no, day, order.amount, (order.order_id,), sentence))
