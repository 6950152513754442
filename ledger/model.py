"""The books' nouns: accounts, transfers, what is refused and why. No I/O, no clock, no SQL.

The stored fact is a *transfer* (one debit account, one credit account, one positive amount), so an unbalanced journal
cannot be written. Postings and journal entries are views of transfers: a journal entry is all transfers that share
(institution_id, source_kind, source_ref).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from money import Money


class Side(StrEnum):
    DEBIT = "DEBIT"
    CREDIT = "CREDIT"


class AccountScope(StrEnum):
    """How many accounts of a kind a custody account's books hold."""

    CUSTODY_ACCOUNT = "custody_account"  # exactly one
    CHANNEL = "channel"  # one per payment channel
    ORDER = "order"  # one per order


@dataclass(frozen=True, slots=True)
class AccountKind:
    """One line of the chart of accounts (config/chart_of_accounts.yaml).

    ``floor`` is the lowest balance in minor units on the normal side; None lets it go below zero.
    ``in_transit`` marks the accounts whose open items are the book side of reconciliation.
    """

    kind: str
    normal_side: Side
    scope: AccountScope
    floor: int | None
    in_transit: bool
    name_en: str
    name_zh: str


@dataclass(frozen=True, slots=True)
class Account:
    """A bucket in our books. ``subject`` tells accounts of one kind apart: an order id or a channel, else ''."""

    institution_id: int
    account_id: int
    custody_account_id: int
    kind: str
    subject: str
    normal_side: Side
    currency: str
    floor: int | None
    opened_on: date
    closed_on: date | None = None

    @property
    def code(self) -> str:
        """How reports and exports name the account: ``<custody account id>:<kind>[:<subject>]``."""
        base = f"{self.custody_account_id}:{self.kind}"
        return f"{base}:{self.subject}" if self.subject else base


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement between two accounts of one institution, in whole minor units > 0.

    ``booking_date`` is the business day (Asia/Shanghai) it counts for; when we wrote it is the batch's ``posted_at``.
    ``reason`` names the event (order_paid, receipt_matched, class_hour_released, ...). ``reverses`` points at the
    transfer this one undoes.
    """

    transfer_id: UUID
    institution_id: int
    debit_account_id: int
    credit_account_id: int
    amount: Money
    booking_date: date
    reason: str
    source_kind: str
    source_ref: str
    reverses: UUID | None = None


def transfer_id(institution_id: int, booking_date: date, source_kind: str, source_ref: str, leg: int = 1) -> UUID:
    """The deterministic id of a transfer, which is its idempotency key: the same source event always gets the same id.

    16 bytes: days since 2000-01-01 (3 bytes, so ids cluster by business day and the month can be read out of the id)
    followed by 13 bytes of SHA-256 over institution, source kind, source ref and leg number.
    """
    days = (booking_date - date(2000, 1, 1)).days
    seed = "\x1f".join((str(institution_id), source_kind, source_ref, str(leg))).encode()
    return UUID(bytes=days.to_bytes(3, "big") + hashlib.sha256(seed).digest()[:13])


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An in-transit posting no bank line has cleared yet: the book side of reconciliation.

    ``item_id`` is the id of the transfer that put it in transit. ``direction`` is 'IN' when money should come into the
    custody account, 'OUT' when it should leave. ``references`` are the strings a bank line may carry.
    ``group_key`` names a settlement batch whose items arrive as one bank line; ``expected_fee`` is what the channel
    keeps back from that batch, in minor units (0 for none).
    """

    item_id: UUID
    institution_id: int
    custody_account_id: int
    account_id: int
    kind: str
    direction: str
    amount: Money
    booking_date: date
    due_date: date
    references: tuple[str, ...]
    group_key: str | None = None
    expected_fee: int = 0
    counterparty_name: str | None = None
    counterparty_account: str | None = None
    original_item_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account wanted in the books; its kind must be in the chart. ``opened_on`` is a business day."""

    institution_id: int
    custody_account_id: int
    kind: str
    subject: str
    currency: str
    opened_on: date


@dataclass(frozen=True, slots=True)
class Clearing:
    """The transfer that takes an open item out of transit: same account, other side, same amount, once."""

    institution_id: int
    item_id: UUID
    clearing_transfer_id: UUID


@dataclass(frozen=True, slots=True)
class PendingTransfer:
    """Money reserved for a transfer that is posted (for its amount or less), voided or expires later; at most one of them, once.

    Until then the floors of both accounts count it where it takes away, never where it brings. ``pending_id`` is deterministic
    like a transfer's id. ``expires_on`` is the last business day on which it can be posted; None waits for ever.
    """

    pending_id: UUID
    institution_id: int
    debit_account_id: int
    credit_account_id: int
    amount: Money
    booking_date: date
    expires_on: date | None
    reason: str
    source_kind: str
    source_ref: str


class PendingOutcome(StrEnum):
    """How a pending transfer ended."""

    POSTED = "posted"
    VOIDED = "voided"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Resolution:
    """That a transfer posts a pending one: same accounts, at most its amount; the rest of the reservation is freed."""

    institution_id: int
    pending_id: UUID
    transfer_id: UUID


@dataclass(frozen=True, slots=True)
class Correction:
    """That a transfer puts right another one of the books: read as corrected, it counts for that one's day."""

    institution_id: int
    transfer_id: UUID
    corrects: UUID


@dataclass(frozen=True, slots=True)
class PostingCall:
    """What one caller wants posted. ``whole``: all of it or nothing; else each journal entry stands for itself."""

    transfers: Sequence[Transfer]
    open_items: Sequence[OpenItem] = ()
    clearings: Sequence[Clearing] = ()
    resolutions: Sequence[Resolution] = ()
    corrections: Sequence[Correction] = ()
    whole: bool = False


class RefusalCode(StrEnum):
    """Why a transfer was not posted, in order of precedence."""

    ZERO_AMOUNT = "zero_amount"  # amount is not above zero
    OVERFLOW = "overflow"  # a balance would not fit a BIGINT (an amount that does not is no Money)
    OUT_OF_CALENDAR = "out_of_calendar"  # booked before 2000 or after 2099, for which the books have no months
    ID_OF_OTHER_MONTH = "id_of_other_month"  # its id does not begin with a day of the month it is booked in
    SAME_ACCOUNT = "same_account"  # debit and credit are one account
    UNKNOWN_ACCOUNT = "unknown_account"  # no such account at this institution
    CLOSED_ACCOUNT = "closed_account"  # closed on or before the booking date, or not yet open
    CLOSED_PERIOD = "closed_period"  # the month of its booking date is closed at this institution
    CURRENCY = "currency"  # amount, debit and credit account do not share one currency
    EXISTS_WITH_OTHER_CONTENT = "exists_with_other_content"  # same id, posted before with another content
    UNKNOWN_ORIGINAL = "unknown_original"  # reverses a transfer that does not exist
    ALREADY_REVERSED = "already_reversed"  # the original has been reversed before
    REVERSAL_MISMATCH = "reversal_mismatch"  # not the original's mirror (accounts swapped, same amount)
    OPEN_ITEM_MISMATCH = (
        "open_item_mismatch"  # its open item has another account, side, amount, date or an account not in transit
    )
    UNKNOWN_ITEM = "unknown_item"  # clears an open item that does not exist
    ALREADY_CLEARED = "already_cleared"  # clears an open item that another transfer has cleared
    CLEARING_MISMATCH = "clearing_mismatch"  # clears an open item with another amount, account or side
    UNKNOWN_CORRECTED = "unknown_corrected"  # corrects a transfer that does not exist
    UNKNOWN_PENDING = "unknown_pending"  # posts, voids or lets expire a pending transfer that does not exist
    ALREADY_RESOLVED = "already_resolved"  # the pending transfer was posted, voided or expired before
    PENDING_EXPIRED = "pending_expired"  # posts a pending transfer after its last day
    PENDING_NOT_EXPIRED = "pending_not_expired"  # lets expire what can still be posted
    RESOLUTION_MISMATCH = "resolution_mismatch"  # posts a pending transfer with other accounts or more than was reserved
    BELOW_FLOOR = "below_floor"  # an account would fall below its floor, counting what is reserved, at some point of the batch
    LINKED_REFUSED = "linked_refused"  # another transfer of the same journal entry was refused


@dataclass(frozen=True, slots=True)
class Refusal:
    transfer_id: UUID
    code: RefusalCode
    message: str


@dataclass(frozen=True, slots=True)
class PostingOutcome:
    """What became of each transfer of a call: newly posted, posted before with the same content, or refused.

    ``batches`` names the batch written at each institution as (institution_id, batch_id); ``batch_id`` is the first of
    them. ``posted_at`` is None when nothing was written.
    """

    posted: tuple[UUID, ...]
    already_posted: tuple[UUID, ...]
    refused: tuple[Refusal, ...]
    batch_id: int | None
    posted_at: datetime | None
    batches: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the books that is not what the rest of the evidence says it must be.

    ``row`` is the row's key in plain text (``institution 3, transfer 1a2b...``); ``what`` a sentence with both figures.
    """

    table: str
    row: str
    what: str


class PostingRefused(ValueError):
    """The books refused transfers; nothing of this call was posted."""

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        self.refusals = refusals
        first = refusals[0]
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        super().__init__(f"{first.code}: {first.message}{more}")
