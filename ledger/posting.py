"""Which transfers may be posted, in which order and with which running balances. Pure: what the books hold is an argument.

The rule, transfer by transfer: journal entries (transfers that share institution, source kind and source ref) are taken in
the order in which they first appear, each whole; a transfer that fails a check is refused and its entry with it, as if
the entry had never been there; whatever follows is judged on the balances without it. So the same call on the same
books always has the same outcome. The database proves the result again (trigger ``transfer_guard``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar
from uuid import UUID

from ledger.model import Clearing, OpenItem, Refusal, RefusalCode, Transfer
from money import Money

#: (institution_id, account_id), (institution_id, transfer id or item id)
AccountKey = tuple[int, int]
TransferKey = tuple[int, UUID]

_Attached = TypeVar("_Attached", OpenItem, Clearing)


#: The largest balance a BIGINT column holds.
UNBOUNDED = 2**63 - 1


@dataclass(slots=True)
class AccountState:
    """An account as the books hold it. ``balance`` is debits minus credits in minor units, ``seq`` its last posting's number.

    The floor is given in terms of ``balance``, which may not go below ``lowest`` (a debit account's floor) nor above
    ``highest`` (a credit account's, negated); UNBOUNDED either way when there is none.
    """

    code: str
    custody_account_id: int
    currency: str
    in_transit: bool
    opened_on: date
    closed_on: date | None
    lowest: int
    highest: int
    seq: int
    balance: int


@dataclass(slots=True)
class KnownBooks:
    """What a decision needs to know of the books: nothing outside these keys is touched by the call.

    ``posted``: transfers in the books among the ids of the call, the originals its reversals name and its clearings.
    ``reversed_by``: original -> the transfer that reversed it. ``items``: open items opened before; ``cleared``: item -> the
    transfer that cleared it.
    """

    accounts: dict[AccountKey, AccountState]
    posted: dict[TransferKey, Transfer] = field(default_factory=dict)
    reversed_by: dict[TransferKey, UUID] = field(default_factory=dict)
    items: dict[TransferKey, OpenItem] = field(default_factory=dict)
    cleared: dict[TransferKey, UUID] = field(default_factory=dict)


#: A transfer that will be posted: itself, then number and running balance (debits minus credits) on its debit account, then
#: on its credit account. A plain tuple, because a batch makes a hundred thousand of them.
NumberedTransfer = tuple[Transfer, int, int, int, int]


@dataclass(slots=True)
class Decision:
    """``accepted`` by institution in the order of posting (so a transfer's line is its place there, from 1)."""

    accepted: dict[int, list[NumberedTransfer]] = field(default_factory=dict)
    already_posted: list[UUID] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    open_items: list[OpenItem] = field(default_factory=list)
    clearings: list[tuple[Clearing, date]] = field(default_factory=list)

    @property
    def posted(self) -> tuple[UUID, ...]:
        """Ids of what will be posted, institution by institution, in posting order."""
        return tuple(line[0].transfer_id for lines in self.accepted.values() for line in lines)


class _Refused(Exception):
    def __init__(self, code: RefusalCode, message: str) -> None:
        self.code = code
        self.message = message


def decide(
    transfers: Sequence[Transfer], books: KnownBooks, open_items: Iterable[OpenItem] = (), clearings: Iterable[Clearing] = ()
) -> Decision:
    """Judge a call. Moves the account states in ``books`` to where they will be.

    Raises ValueError when an open item or a clearing belongs to no transfer of the call, or an item is given twice.
    """
    entries, decision = _journal_entries(transfers)
    opened = _by_transfer(((i.institution_id, i.item_id), i) for i in open_items)
    clearing = _by_transfer(((c.institution_id, c.clearing_transfer_id), c) for c in clearings)
    given = {*opened, *clearing}
    if given:
        given -= {(t.institution_id, t.transfer_id) for t in transfers}
    if given:
        raise ValueError(f"an open item or clearing belongs to transfer {next(iter(given))[1]}, which is not in the call")
    judge = _Judge(books, opened, clearing, decision)
    judge.wanted_originals = {(t.institution_id, t.reverses) for t in transfers if t.reverses is not None}
    for members in entries:
        judge.judge_entry(members)
    return decision


def _journal_entries(transfers: Sequence[Transfer]) -> tuple[Iterable[list[Transfer]], Decision]:
    """Transfers by journal entry; a repeated id counts once when its content is the same and is refused when it is not."""
    entries: dict[tuple[int, str, str], list[Transfer]] = {}
    seen: dict[TransferKey, Transfer] = {}
    decision = Decision()
    for transfer in transfers:
        key = (transfer.institution_id, transfer.transfer_id)
        first = seen.get(key)
        if first is None:
            seen[key] = transfer
            entries.setdefault((transfer.institution_id, transfer.source_kind, transfer.source_ref), []).append(transfer)
        elif first != transfer:
            decision.refused.append(
                Refusal(
                    transfer.transfer_id,
                    RefusalCode.EXISTS_WITH_OTHER_CONTENT,
                    f"the call holds transfer {transfer.transfer_id} twice, with different content",
                )
            )
    return entries.values(), decision


def _by_transfer(pairs: Iterable[tuple[TransferKey, _Attached]]) -> dict[TransferKey, _Attached]:
    found: dict[TransferKey, _Attached] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise ValueError(f"transfer {key[1]} has two different open items or clearings")
    return found


class _Judge:
    """Goes through the journal entries of one call, keeping what earlier ones of the call have changed."""

    def __init__(
        self,
        books: KnownBooks,
        opened: dict[TransferKey, OpenItem],
        clearing: dict[TransferKey, Clearing],
        decision: Decision,
    ) -> None:
        self.books = books
        self.opened = opened
        self.clearing = clearing
        self.decision = decision
        #: Originals that reversals of this call name: the only transfers of the call that later ones look up.
        self.wanted_originals: set[TransferKey] = set()

    def judge_entry(self, members: list[Transfer]) -> None:
        """Accept the whole entry or refuse it whole."""
        before: list[tuple[AccountState, int, int]] = []
        accepted: list[NumberedTransfer] = []
        already: list[UUID] = []
        anything_posted = bool(self.books.posted)
        try:
            for transfer in members:
                if anything_posted and self._is_posted(transfer):
                    already.append(transfer.transfer_id)
                else:
                    accepted.append(self._number(transfer, before))
        except _Refused as refusal:
            for state, seq, balance in reversed(before):
                state.seq, state.balance = seq, balance
            self._refuse(members, transfer, refusal)
            self._forget(accepted)
            return
        self.decision.already_posted += already
        if accepted:
            self.decision.accepted.setdefault(members[0].institution_id, []).extend(accepted)
            if self.opened or self.clearing:
                self._keep_items(accepted)

    def _refuse(self, members: list[Transfer], culprit: Transfer, refusal: _Refused) -> None:
        for member in members:
            if member is culprit:
                self.decision.refused.append(Refusal(member.transfer_id, refusal.code, refusal.message))
            elif self.books.posted.get((member.institution_id, member.transfer_id)) == member:
                self.decision.already_posted.append(member.transfer_id)
            else:
                message = f"transfer {culprit.transfer_id} of the same journal entry was refused ({refusal.code})"
                self.decision.refused.append(Refusal(member.transfer_id, RefusalCode.LINKED_REFUSED, message))

    def _forget(self, accepted: list[NumberedTransfer]) -> None:
        """Take back what accepted members of a refused entry opened, cleared and reversed."""
        for transfer, *_ in accepted:
            key = (transfer.institution_id, transfer.transfer_id)
            self.books.posted.pop(key, None)
            if transfer.reverses is not None:
                self.books.reversed_by.pop((transfer.institution_id, transfer.reverses), None)
            if key in self.opened:
                self.books.items.pop(key, None)
            if key in self.clearing:
                self.books.cleared.pop((transfer.institution_id, self.clearing[key].item_id), None)

    def _keep_items(self, accepted: list[NumberedTransfer]) -> None:
        for transfer, *_ in accepted:
            key = (transfer.institution_id, transfer.transfer_id)
            if key in self.opened:
                self.decision.open_items.append(self.opened[key])
            if key in self.clearing:
                self.decision.clearings.append((self.clearing[key], transfer.booking_date))

    def _is_posted(self, transfer: Transfer) -> bool:
        """Whether it stands in the books with this very content, its open item and clearing included."""
        key = (transfer.institution_id, transfer.transfer_id)
        posted = self.books.posted.get(key)
        if posted != transfer:
            return False
        if key in self.opened and self.books.items.get(key) != self.opened[key]:
            raise _Refused(
                RefusalCode.EXISTS_WITH_OTHER_CONTENT, f"transfer {key[1]} was posted before with another open item, or none"
            )
        if key in self.clearing:
            cleared_by = self.books.cleared.get((key[0], self.clearing[key].item_id))
            if cleared_by is not None and cleared_by != key[1]:
                raise _Refused(
                    RefusalCode.ALREADY_CLEARED, f"open item {self.clearing[key].item_id} was cleared by transfer {cleared_by}"
                )
            if cleared_by is None:
                raise _Refused(
                    RefusalCode.EXISTS_WITH_OTHER_CONTENT, f"transfer {key[1]} was posted before without clearing that item"
                )
        return True

    def _number(self, transfer: Transfer, before: list[tuple[AccountState, int, int]]) -> NumberedTransfer:
        """Check one transfer and move its two accounts. Checks stand in the order of RefusalCode."""
        institution, amount, books = transfer.institution_id, transfer.amount.minor_units, self.books
        debit = books.accounts.get((institution, transfer.debit_account_id))
        credit = books.accounts.get((institution, transfer.credit_account_id))
        if amount <= 0:
            raise _Refused(RefusalCode.ZERO_AMOUNT, f"the amount is {transfer.amount}; it must be above zero")
        if transfer.debit_account_id == transfer.credit_account_id:
            raise _Refused(RefusalCode.SAME_ACCOUNT, f"account {transfer.debit_account_id} is debited and credited")
        if debit is None or credit is None:
            missing = transfer.debit_account_id if debit is None else transfer.credit_account_id
            raise _Refused(RefusalCode.UNKNOWN_ACCOUNT, f"institution {institution} has no account {missing}")
        day, currency = transfer.booking_date, transfer.amount.currency
        for side in (debit, credit):
            if day < side.opened_on or (side.closed_on is not None and side.closed_on <= day):
                raise _Refused(RefusalCode.CLOSED_ACCOUNT, _closed(side, day))
        if not currency == debit.currency == credit.currency:
            raise _Refused(
                RefusalCode.CURRENCY,
                f"the amount is in {currency}, {debit.code} holds {debit.currency} and {credit.code} holds {credit.currency}",
            )
        if books.posted or self.wanted_originals or self.opened or self.clearing:
            self._check_links(transfer, debit, credit)
        debit_balance, credit_balance = debit.balance + amount, credit.balance - amount
        if debit_balance > debit.highest:
            raise _Refused(RefusalCode.BELOW_FLOOR, _below(debit, debit_balance))
        if credit_balance < credit.lowest:
            raise _Refused(RefusalCode.BELOW_FLOOR, _below(credit, credit_balance))

        before += ((debit, debit.seq, debit.balance), (credit, credit.seq, credit.balance))
        debit.seq += 1
        debit.balance = debit_balance
        credit.seq += 1
        credit.balance = credit_balance
        if self.wanted_originals or self.opened or self.clearing:
            self._remember(transfer)
        return transfer, debit.seq, debit_balance, credit.seq, credit_balance

    def _check_links(self, transfer: Transfer, debit: AccountState, credit: AccountState) -> None:
        """What a transfer must have to do with other transfers and with open items."""
        key = (transfer.institution_id, transfer.transfer_id)
        if key in self.books.posted:
            raise _Refused(
                RefusalCode.EXISTS_WITH_OTHER_CONTENT,
                f"{transfer.source_kind} {transfer.source_ref} was posted before with other content (transfer {key[1]})",
            )
        if transfer.reverses is not None:
            self._check_reversal(transfer, transfer.reverses)
        if key in self.opened:
            _check_item(self.opened[key], transfer, debit, credit)
        if key in self.clearing:
            self._check_clearing(self.clearing[key], transfer)

    def _remember(self, transfer: Transfer) -> None:
        """Keep what later transfers of the call may refer to."""
        key = (transfer.institution_id, transfer.transfer_id)
        if key in self.wanted_originals:
            self.books.posted[key] = transfer
        if transfer.reverses is not None:
            self.books.reversed_by[(transfer.institution_id, transfer.reverses)] = transfer.transfer_id
        if key in self.opened:
            self.books.items[key] = self.opened[key]
        if key in self.clearing:
            self.books.cleared[(transfer.institution_id, self.clearing[key].item_id)] = transfer.transfer_id

    def _check_reversal(self, transfer: Transfer, reverses: UUID) -> None:
        original_key = (transfer.institution_id, reverses)
        original = self.books.posted.get(original_key)
        if original is None:
            raise _Refused(RefusalCode.UNKNOWN_ORIGINAL, f"it reverses transfer {reverses}, which is not in the books")
        if original_key in self.books.reversed_by:
            by = self.books.reversed_by[original_key]
            raise _Refused(RefusalCode.ALREADY_REVERSED, f"transfer {reverses} was reversed by transfer {by}")
        mirrored = (original.credit_account_id, original.debit_account_id, original.amount)
        if (transfer.debit_account_id, transfer.credit_account_id, transfer.amount) != mirrored:
            raise _Refused(RefusalCode.REVERSAL_MISMATCH, f"it is not the mirror of transfer {reverses} ({original.amount})")

    def _check_clearing(self, clearing: Clearing, transfer: Transfer) -> None:
        item_key = (clearing.institution_id, clearing.item_id)
        item = self.books.items.get(item_key)
        if item is None:
            raise _Refused(RefusalCode.UNKNOWN_ITEM, f"it clears open item {clearing.item_id}, which is not in the books")
        if item_key in self.books.cleared:
            by = self.books.cleared[item_key]
            raise _Refused(RefusalCode.ALREADY_CLEARED, f"open item {clearing.item_id} was cleared by transfer {by}")
        account = transfer.credit_account_id if item.direction == "IN" else transfer.debit_account_id
        if account != item.account_id or transfer.amount != item.amount:
            raise _Refused(
                RefusalCode.CLEARING_MISMATCH,
                f"it moves {transfer.amount}; open item {clearing.item_id} is {item.amount} {item.direction} "
                f"on account {item.account_id}",
            )


def _check_item(item: OpenItem, transfer: Transfer, debit: AccountState, credit: AccountState) -> None:
    account_id, state = (transfer.debit_account_id, debit) if item.direction == "IN" else (transfer.credit_account_id, credit)
    fits = (
        item.account_id == account_id
        and state.in_transit
        and item.custody_account_id == state.custody_account_id
        and item.amount == transfer.amount
        and item.booking_date == transfer.booking_date
        and item.direction in ("IN", "OUT")
    )
    if not fits:
        raise _Refused(
            RefusalCode.OPEN_ITEM_MISMATCH,
            f"its open item ({item.direction} {item.amount}, account {item.account_id}) is not what it puts in transit "
            f"({transfer.amount}, account {account_id} {'in transit' if state.in_transit else 'not an in-transit account'})",
        )


def _closed(account: AccountState, day: date) -> str:
    if day < account.opened_on:
        return f"account {account.code} opens on {account.opened_on}, the booking date is {day}"
    return f"account {account.code} closed on {account.closed_on}, the booking date is {day}"


def _below(account: AccountState, balance: int) -> str:
    credit_normal = account.highest != UNBOUNDED
    shown, floor = (-balance, -account.highest) if credit_normal else (balance, account.lowest)
    return (
        f"account {account.code} would fall to {Money(shown, account.currency)}, "
        f"below its floor of {Money(floor, account.currency)}"
    )
