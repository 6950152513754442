"""Which defects a district carries: their kinds, how often each profile injects them, and an entry of the answer key.

The kinds are the discrepancy kinds a reconciliation is expected to name (DOMAIN.md 4). They are written down here a second
time on purpose: the simulation must not import the engine it tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class DefectKind(StrEnum):
    """The discrepancy kind a supervisor must see."""

    MISSING_IN_BANK = "MISSING_IN_BANK"
    MISSING_IN_LEDGER = "MISSING_IN_LEDGER"
    UNIDENTIFIED_RECEIPT = "UNIDENTIFIED_RECEIPT"
    UNEXPLAINED_PAYMENT = "UNEXPLAINED_PAYMENT"
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    DIRECTION_MISMATCH = "DIRECTION_MISMATCH"
    DUPLICATE_BANK = "DUPLICATE_BANK"
    DUPLICATE_LEDGER = "DUPLICATE_LEDGER"
    FEE_VARIANCE = "FEE_VARIANCE"
    LATE = "LATE"
    RETURNED = "RETURNED"
    AMBIGUOUS = "AMBIGUOUS"
    BANK_INTEREST = "BANK_INTEREST"
    BANK_CHARGE = "BANK_CHARGE"
    STATEMENT_MISSING = "STATEMENT_MISSING"
    STATEMENT_GAP = "STATEMENT_GAP"
    CONTINUITY_BREAK = "CONTINUITY_BREAK"
    BALANCE_BREAK = "BALANCE_BREAK"
    DUPLICATE_FILE = "DUPLICATE_FILE"
    RESTATED = "RESTATED"  # only ever as a consequence: a right file that replaces a wrong one


class OrderFate(StrEnum):
    """What goes wrong with one order. At most one fate an order; such an order is not taught within the span."""

    LOST = "lost"  # bank transfer reported paid, money never arrives
    LOST_IN_CHANNEL = "lost_in_channel"  # the channel neither lists nor pays the order
    UNREPORTED = "unreported"  # money with an order id arrives, the platform lost the order
    WRONG_AMOUNT = "wrong_amount"  # the bank shows another amount
    WRONG_DIRECTION = "wrong_direction"  # the bank took the money out instead of in
    BOOKED_TWICE = "booked_twice"  # the bank booked it again on the next day
    REPORTED_TWICE = "reported_twice"  # the platform reported one payment as two orders
    LATE = "late"  # the money arrives after the window
    TWINS = "twins"  # two orders and two bank lines under one payment reference: nobody can tell them apart
    TAKEN_BACK = "taken_back"  # the bank reverses the receipt on the next day
    IN_PARTS = "in_parts"  # trap, no defect: one payment booked as two lines of one day
    MERGED = "merged"  # trap, no defect: one transfer pays two orders that carry its number
    AFTER_CUT = "after_cut"  # trap, no defect: paid 23:30 or later, so the channel pays it a day later


class BatchFate(StrEnum):
    """What goes wrong with one settlement batch; its orders are not taught within the span."""

    FEE_KEPT = "fee_kept"  # the channel keeps its fee back
    LOST = "lost"  # listed as settled, never arrives
    IN_PARTS = "in_parts"  # trap, no defect: paid by two lines of one day


class PaymentFate(StrEnum):
    """What goes wrong with one disbursement at the bank."""

    WRONG_AMOUNT = "wrong_amount"
    LOST = "lost"
    TWICE = "twice"
    RETURNED = "returned"  # executed, and back on the next working day


class StrayKind(StrEnum):
    """Money on the bank's side that no book item ever explains."""

    UNIDENTIFIED = "unidentified"
    UNEXPLAINED = "unexplained"
    CHARGE = "charge"


class StatementFate(StrEnum):
    """What goes wrong with the statement of one account and day."""

    LATE_FILE = "late_file"  # delivered a day later
    NEVER = "never"  # never delivered (the last day of the span, so that no later file is torn off the chain)
    OVERTAKEN = "overtaken"  # delivered two days later, after the next one, which by its number follows a gap
    CONTINUITY = "continuity"  # opens elsewhere than the day before closed; the right file follows a day later
    BALANCE = "balance"  # opening + in - out is not closing; the right file follows a day later
    SAME_BYTES = "same_bytes"  # delivered again a day later under the same name
    OTHER_NAME = "other_name"  # the same bytes a day later under another name
    OTHER_ENCODING = "other_encoding"  # the same content a day later under another name in another encoding


@dataclass(frozen=True, slots=True)
class DefectRates:
    """How much goes wrong. Order fates and strays count per 1,000 orders (at least one when the rate is above zero and a
    fitting order exists); batch, payment and statement fates count per district; ``interest`` books one line an account.
    """

    order_fates: tuple[tuple[OrderFate, float], ...] = ()
    strays: tuple[tuple[StrayKind, float], ...] = ()
    batch_fates: tuple[tuple[BatchFate, int], ...] = ()
    payment_fates: tuple[tuple[PaymentFate, int], ...] = ()
    statement_fates: tuple[tuple[StatementFate, int], ...] = ()
    bad_rows: int = 0
    interest: bool = False


PROFILES: dict[str, DefectRates] = {
    "none": DefectRates(),
    "standard": DefectRates(
        order_fates=(
            (OrderFate.LOST, 0.75), (OrderFate.LOST_IN_CHANNEL, 0.75), (OrderFate.UNREPORTED, 0.75),
            (OrderFate.WRONG_AMOUNT, 0.75), (OrderFate.WRONG_DIRECTION, 0.5), (OrderFate.BOOKED_TWICE, 0.75),
            (OrderFate.REPORTED_TWICE, 0.75), (OrderFate.LATE, 0.75), (OrderFate.TWINS, 0.5), (OrderFate.AFTER_CUT, 3.0),
            (OrderFate.TAKEN_BACK, 0.5), (OrderFate.IN_PARTS, 0.75), (OrderFate.MERGED, 0.5),
        ),
        strays=((StrayKind.UNIDENTIFIED, 1.0), (StrayKind.UNEXPLAINED, 0.5), (StrayKind.CHARGE, 0.5)),
        batch_fates=((BatchFate.FEE_KEPT, 3), (BatchFate.LOST, 1), (BatchFate.IN_PARTS, 1)),
        payment_fates=((PaymentFate.WRONG_AMOUNT, 2), (PaymentFate.LOST, 1), (PaymentFate.TWICE, 1), (PaymentFate.RETURNED, 1)),
        statement_fates=(
            (StatementFate.LATE_FILE, 2), (StatementFate.NEVER, 1), (StatementFate.OVERTAKEN, 1),
            (StatementFate.CONTINUITY, 1), (StatementFate.BALANCE, 1), (StatementFate.SAME_BYTES, 1),
            (StatementFate.OTHER_NAME, 1), (StatementFate.OTHER_ENCODING, 1),
        ),
        bad_rows=8,
        interest=True,
    ),
    "heavy": DefectRates(
        order_fates=(
            (OrderFate.LOST, 4.0), (OrderFate.LOST_IN_CHANNEL, 4.0), (OrderFate.UNREPORTED, 4.0),
            (OrderFate.WRONG_AMOUNT, 4.0), (OrderFate.WRONG_DIRECTION, 2.0), (OrderFate.BOOKED_TWICE, 4.0),
            (OrderFate.REPORTED_TWICE, 4.0), (OrderFate.LATE, 4.0), (OrderFate.TWINS, 3.0), (OrderFate.AFTER_CUT, 12.0),
            (OrderFate.TAKEN_BACK, 3.0), (OrderFate.IN_PARTS, 4.0), (OrderFate.MERGED, 3.0),
        ),
        strays=((StrayKind.UNIDENTIFIED, 5.0), (StrayKind.UNEXPLAINED, 3.0), (StrayKind.CHARGE, 2.0)),
        batch_fates=((BatchFate.FEE_KEPT, 10), (BatchFate.LOST, 4), (BatchFate.IN_PARTS, 4)),
        payment_fates=((PaymentFate.WRONG_AMOUNT, 6), (PaymentFate.LOST, 4), (PaymentFate.TWICE, 4), (PaymentFate.RETURNED, 4)),
        statement_fates=(
            (StatementFate.LATE_FILE, 6), (StatementFate.NEVER, 2), (StatementFate.OVERTAKEN, 4),
            (StatementFate.CONTINUITY, 4), (StatementFate.BALANCE, 4), (StatementFate.SAME_BYTES, 3),
            (StatementFate.OTHER_NAME, 3), (StatementFate.OTHER_ENCODING, 3),
        ),
        bad_rows=30,
        interest=True,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Defect:
    """One entry of the answer key.

    ``business_date`` is the day on which a supervisor must see it. ``amount`` is the money of the bank's lines, or of the book's
    items where there is no line; ``difference`` is the bank's effect on the account minus what the books expect, IN positive.
    Both are fen, 0 where no money is concerned. ``bank_members`` are the bank references of exactly the lines it is about
    (``-`` for a line without one), ``book_members`` the orders, instruction or RF reference of exactly the items.
    ``references`` are all order ids, settlement batches, instruction ids or payment references that have to do with it;
    ``bank_references`` the bank's own ids of the lines to look at. ``also_expected`` are kinds an engine may rightly name about
    the same references besides ``kind``. ``money_from`` is the first day on which the account's coverage is no longer plain
    because of it, None when it touches no money. ``files`` are the input files (relative to ``inputs/``) in which it shows.
    """

    defect_id: str
    kind: DefectKind
    institution_no: int
    business_date: date
    amount: int
    difference: int
    references: tuple[str, ...]
    bank_references: tuple[str, ...]
    resolvable: bool
    also_expected: tuple[DefectKind, ...]
    money_from: date | None
    sentence: str
    files: tuple[str, ...] = ()
    bank_members: tuple[str, ...] = ()
    book_members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trap:
    """Something that looks wrong and is not: naming any discrepancy about its references is an invention."""

    trap: str
    institution_no: int
    business_date: date
    amount: int
    references: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of an orders file that must be refused: ``line`` is 1-based with the header as line 1."""

    file: str
    line: int
    field: str
    order_id: str
    sentence: str
