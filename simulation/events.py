"""The economic events of a district, as they truly happened. Nouns only; every one is immutable.

Amounts are whole fen of CNY. ``institution_no`` counts the institutions of a district from 0; each has one custody
account. A ``*_on`` is a business day in Shanghai, a ``*_at`` an instant with the offset +08:00.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from bank_adapters.model import Direction

#: Shanghai has had no other offset since 1991; a fixed offset keeps files identical on machines without time zone data.
SHANGHAI = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Institution:
    """Who teaches, and the one custody account that guards its prepayments."""

    institution_no: int
    institution_code: str
    name: str
    jurisdiction_code: str
    deemed_after: int
    bank_code: str
    profile: str
    account_number: str
    account_name: str
    opened_on: date
    beneficiary_name: str
    beneficiary_account: str
    beneficiary_bank: str


@dataclass(frozen=True, slots=True)
class Order:
    """The sale of ``class_hours`` for ``amount`` fen, paid at ``paid_at`` through ``channel``."""

    institution_no: int
    order_id: str
    payer_token: str
    payer_name: str
    payer_account: str
    student_token: str
    course_name: str
    class_hours: int
    amount: int
    channel: str
    channel_reference: str
    paid_at: datetime
    paid_on: date
    course_starts_on: date
    course_ends_on: date


@dataclass(frozen=True, slots=True)
class ClassHourEvent:
    """Something that happened to one class-hour: taught, confirmed, disputed, dispute_withdrawn or dispute_upheld."""

    institution_no: int
    order_id: str
    class_hour_no: int
    event: str
    event_on: date
    event_at: datetime
    reported_by: str


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A payer asks for the rest back. ``responded_at`` is None where the institution kept silent."""

    institution_no: int
    refund_request_id: str
    order_id: str
    requested_at: datetime
    responded_at: datetime | None
    reported_on: date
    reason: str
    payee_name: str
    payee_account: str


@dataclass(frozen=True, slots=True)
class SettlementBatch:
    """What one channel pays one institution for one day, by one bank line. ``order_ids`` in order of payment."""

    channel: str
    settlement_batch: str
    institution_no: int
    settled_on: date
    order_ids: tuple[str, ...]
    gross: int
    fee: int


@dataclass(frozen=True, slots=True)
class Release:
    """The ``instalment_no``-th release of an order, earned by class-hour ``class_hour_no``; basis payer or deemed."""

    institution_no: int
    order_id: str
    class_hour_no: int
    instalment_no: int
    amount: int
    released_on: date
    basis: str


@dataclass(frozen=True, slots=True)
class Refund:
    """What goes back to the payer. ``executed_on`` is None when the bank's day lies past the simulated span."""

    institution_no: int
    refund_request_id: str
    order_id: str
    amount: int
    approved_on: date
    instructed_on: date | None
    executed_on: date | None
    basis: str


@dataclass(frozen=True, slots=True)
class Disbursement:
    """All that was released and not yet paid out, instructed on a working day, executed by the bank on the next."""

    institution_no: int
    instruction_id: str
    amount: int
    instructed_on: date
    executed_on: date | None


@dataclass(frozen=True, slots=True)
class BankMovement:
    """One line of a bank's own books.

    ``purpose`` is order, order_part, settlement, disbursement, refund, reversal, return, interest, or stray for money that
    belongs to no book item.
    ``book_references`` are the order ids, instruction id or refund reference this line truly settles; ``certainty`` says
    what the engine may do with the pair: ``required`` must be matched, ``optional`` may be, ``never`` must not.
    """

    institution_no: int
    booking_date: date
    booked_at: datetime
    direction: Direction
    amount: int
    bank_reference: str | None
    end_to_end_reference: str | None
    counterparty_name: str | None
    counterparty_account: str | None
    description: str
    transaction_code: str
    purpose: str
    book_references: tuple[str, ...]
    certainty: str

    @property
    def signed(self) -> int:
        """Fen by which the account's balance moves."""
        return self.amount if self.direction is Direction.IN else -self.amount
