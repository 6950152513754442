"""What a match or a resolution posts: the transfers behind a bank line, and the open items they clear. Pure.

Every transfer's source is its bank line, so the journal leads from any cash posting to the line, its file and its digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from ledger.model import Clearing, Transfer, transfer_id
from money import Money
from reconciliation import resolution_wording as say
from reconciliation.model import CustodyAccountRef
from wording import Refused

SOURCE_KIND = "bank_line"
SETTLED = "settled_item"


def suspense_of(direction: str) -> str:
    """The kind of account in which money nobody can name waits: receipts (IN) are owed, payments (OUT) are to be explained."""
    return "unidentified_receipts" if direction == "IN" else "unexplained_payments"


@dataclass(frozen=True, slots=True)
class Line:
    """A bank line as posting needs it."""

    line_id: str
    direction: str
    amount: int
    booking_date: date


@dataclass(frozen=True, slots=True)
class Item:
    """An open item as posting needs it; ``account_id`` is its in-transit account."""

    item_id: UUID
    account_id: int
    amount: int
    direction: str


class EntryRefused(Refused):
    """Lines and items do not make an entry: directions or amounts do not agree."""


@dataclass(slots=True)
class Entry:
    """Transfers to post and the clearings that belong to them."""

    transfers: list[Transfer] = field(default_factory=list)
    clearings: list[Clearing] = field(default_factory=list)

    def extend(self, other: Entry) -> None:
        self.transfers += other.transfers
        self.clearings += other.clearings


@dataclass(frozen=True, slots=True)
class Books:
    """The accounts entries of one custody account touch: kind -> account id (accounts with one of a kind)."""

    ref: CustodyAccountRef
    accounts: Mapping[str, int]

    def transfer(self, line: Line, *, leg: int, debit: int, credit: int, amount: int, reason: str) -> Transfer:
        """One leg of a line's journal entry, booked on the line's day."""
        institution = self.ref.institution_id
        return Transfer(
            transfer_id=transfer_id(institution, line.booking_date, SOURCE_KIND, line.line_id, leg),
            institution_id=institution,
            debit_account_id=debit,
            credit_account_id=credit,
            amount=Money(amount, self.ref.currency),
            booking_date=line.booking_date,
            reason=reason,
            source_kind=SOURCE_KIND,
            source_ref=line.line_id,
        )

    def clear(self, line: Line, items: Sequence[Item], reason: str) -> Entry:
        """The entry by which a line clears items. IN: cash against receipts in transit, whole; what a channel kept back is the
        institution's to top up (fee receivable). OUT: disbursements or refunds in transit against cash.

        Raises EntryRefused when the amounts do not allow it.
        """
        cash = self.accounts["custody_cash"]
        entry = Entry()
        total = sum(item.amount for item in items)
        if any(item.direction != line.direction for item in items) or not items:
            raise EntryRefused(say.ways_differ(line.line_id, line.direction))
        fee = total - line.amount
        if fee and (line.direction == "OUT" or fee < 0):
            raise EntryRefused(say.fee_only(Money(abs(fee), self.ref.currency)))
        for leg, item in enumerate(sorted(items, key=lambda one: one.item_id.bytes), 1):
            debit, credit = (cash, item.account_id) if line.direction == "IN" else (item.account_id, cash)
            transfer = self.transfer(line, leg=leg, debit=debit, credit=credit, amount=item.amount, reason=reason)
            entry.transfers.append(transfer)
            entry.clearings.append(Clearing(self.ref.institution_id, item.item_id, transfer.transfer_id))
        if fee:
            fee_account = self.accounts["fee_receivable"]
            entry.transfers.append(
                self.transfer(
                    line, leg=len(items) + 1, debit=fee_account, credit=cash, amount=fee, reason="channel_fee_kept_back"
                )
            )
        return entry

    def clear_in_parts(self, lines: Sequence[Line], items: Sequence[Item], reason: str) -> Entry:
        """The entry by which several lines together clear items: each line goes to suspense, and with the last one the whole
        leaves it again against the items, with what a channel kept back as in ``clear``.

        Raises EntryRefused when directions or totals do not agree.
        """
        last = max(lines, key=lambda one: (one.booking_date, one.line_id))
        inward = last.direction == "IN"
        fee = sum(one.amount for one in items) - sum(one.amount for one in lines)
        ways = {one.direction for one in lines} | {one.direction for one in items}
        if ways != {last.direction} or not items:
            raise EntryRefused(say.ways_differ(last.line_id, last.direction))
        if fee and (not inward or fee < 0):
            raise EntryRefused(say.fee_only(Money(abs(fee), self.ref.currency)))
        kind = "unidentified_receipts" if inward else "unexplained_payments"
        suspense = self.accounts[kind]
        entry = Entry()
        for one in sorted(lines, key=lambda each: (each.booking_date, each.line_id)):
            entry.extend(self.against(one, kind, reason))
        if fee:
            kept = self.accounts["fee_receivable"]
            entry.transfers.append(
                self.transfer(last, leg=2, debit=kept, credit=suspense, amount=fee, reason="channel_fee_kept_back")
            )
        for leg, item in enumerate(sorted(items, key=lambda one: one.item_id.bytes), 3):
            debit, credit = (suspense, item.account_id) if inward else (item.account_id, suspense)
            transfer = self.transfer(last, leg=leg, debit=debit, credit=credit, amount=item.amount, reason=reason)
            entry.transfers.append(transfer)
            entry.clearings.append(Clearing(self.ref.institution_id, item.item_id, transfer.transfer_id))
        return entry

    def against(self, line: Line, kind: str, reason: str) -> Entry:
        """The entry of a whole line against an account of ``kind`` (suspense, interest, charges, a claim)."""
        cash, other = self.accounts["custody_cash"], self.accounts[kind]
        debit, credit = (cash, other) if line.direction == "IN" else (other, cash)
        return Entry([self.transfer(line, leg=1, debit=debit, credit=credit, amount=line.amount, reason=reason)])

    def settle(self, items: Sequence[Item], booking_date: date, reason: str) -> Entry:
        """The entry by which money put to suspense earlier turns out to be that of items: no bank line moves now.

        Receipts come out of unidentified receipts; payments settle unexplained payments. Each transfer's source is its item. That
        suspense holds that much is for the books to say: both accounts have a floor of 0.
        """
        entry = Entry()
        for item in items:
            suspense = self.accounts[suspense_of(item.direction)]
            debit, credit = (suspense, item.account_id) if item.direction == "IN" else (item.account_id, suspense)
            source_ref = str(item.item_id)
            identity = transfer_id(self.ref.institution_id, booking_date, SETTLED, source_ref)
            entry.transfers.append(
                Transfer(
                    transfer_id=identity,
                    institution_id=self.ref.institution_id,
                    debit_account_id=debit,
                    credit_account_id=credit,
                    amount=Money(item.amount, self.ref.currency),
                    booking_date=booking_date,
                    reason=reason,
                    source_kind=SETTLED,
                    source_ref=source_ref,
                )
            )
            entry.clearings.append(Clearing(self.ref.institution_id, item.item_id, identity))
        return entry

    def reversal_pair(self, forth: Line, back: Line) -> Entry:
        """Two lines that undo each other, through the suspense account of the first one's direction."""
        kind = suspense_of(forth.direction)
        entry = self.against(forth, kind, "reversed_by_bank")
        entry.extend(self.against(back, kind, "reversed_by_bank"))
        return entry
