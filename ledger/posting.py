"""Which transfers may be posted, in which order and with which running balances. Pure: what the books hold is an argument.

The rule, transfer by transfer: journal entries (transfers that share institution, source kind and source ref) are taken in
the order in which they first appear, each whole; a transfer that fails a check is refused and its entry with it, as if
the entry had never been there; whatever follows is judged on the balances without it. So the same call on the same
books always has the same outcome. Several callers' calls are judged one after the other, each as if it came alone.
The database proves the result again (trigger ``transfer_guard``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from ledger.links import Attachments, TransferRefused, check_links, check_new, check_still_attached
from ledger.model import Clearing, Correction, OpenItem, PostingCall, Refusal, RefusalCode, Resolution, Transfer
from ledger.months import id_fits_day, in_calendar
from ledger.state import UNBOUNDED, AccountState, KnownBooks, TransferKey
from money import Money

#: A transfer that will be posted: itself, then number and running balance (debits minus credits) on its debit account, then
#: on its credit account. A plain tuple, because a batch makes a hundred thousand of them.
NumberedTransfer = tuple[Transfer, int, int, int, int]


#: Transfers of a call by journal entry, and what is refused because the call holds it twice.
JournalEntries = tuple[Collection[list[Transfer]], list[Refusal]]


@dataclass(slots=True)
class Verdict:
    """What becomes of one call: ids newly posted, posted before with the same content, and what was refused."""

    posted: list[UUID] = field(default_factory=list)
    already_posted: list[UUID] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


@dataclass(slots=True)
class Decision:
    """``accepted`` by institution in the order of posting (so a transfer's line is its place there, from 1); ``verdicts`` in the
    order of the calls.
    """

    accepted: dict[int, list[NumberedTransfer]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    open_items: list[OpenItem] = field(default_factory=list)
    clearings: list[tuple[Clearing, date]] = field(default_factory=list)
    resolutions: list[tuple[Resolution, date]] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)

    @property
    def posted(self) -> tuple[UUID, ...]:
        """Ids of what will be posted, institution by institution, in posting order."""
        return tuple(line[0].transfer_id for lines in self.accepted.values() for line in lines)

    @property
    def already_posted(self) -> list[UUID]:
        """Ids of what was in the books before, over all calls."""
        return [one for verdict in self.verdicts for one in verdict.already_posted]

    @property
    def refused(self) -> list[Refusal]:
        """What was refused, over all calls."""
        return [one for verdict in self.verdicts for one in verdict.refused]


def deciding(
    calls: Sequence[PostingCall], entries_of_calls: Sequence[JournalEntries], books: KnownBooks, decision: Decision
) -> Iterator[None]:
    """Judge calls in their order, given with their journal entries, into ``decision``, one entry a step; account states in
    ``books`` move to where they will be. What a step accepts stays accepted, so whoever writes it need not wait for the rest.

    Raises ValueError when an open item, clearing, resolution or correction belongs to no transfer of its call, or one is given
    twice.
    """
    wanted = {(t.institution_id, t.reverses) for call in calls for t in call.transfers if t.reverses is not None}
    wanted.update((c.institution_id, c.corrects) for call in calls for c in call.corrections)
    for call, (entries, repeated) in zip(calls, entries_of_calls, strict=True):
        verdict = Verdict(refused=list(repeated))
        decision.verdicts.append(verdict)
        attached = Attachments.of(call.transfers, call.open_items, call.clearings, call.resolutions, call.corrections)
        judge = _Judge(books, attached, decision, verdict, wanted, keep_all=len(calls) > 1)
        if not call.whole:
            for members in entries:
                judge.judge_entry(members)
                yield
        elif not repeated:
            judge.judge_entry([transfer for members in entries for transfer in members])
            yield


def journal_entries(transfers: Sequence[Transfer]) -> JournalEntries:
    """Transfers by journal entry; a repeated id counts once when its content is the same and is refused when it is not."""
    entries: dict[tuple[int, str, str], list[Transfer]] = {}
    seen: dict[TransferKey, Transfer] = {}
    refused: list[Refusal] = []
    for transfer in transfers:
        key = (transfer.institution_id, transfer.transfer_id)
        first = seen.get(key)
        if first is None:
            seen[key] = transfer
            entries.setdefault((transfer.institution_id, transfer.source_kind, transfer.source_ref), []).append(transfer)
        elif first != transfer:
            refused.append(
                Refusal(
                    transfer.transfer_id,
                    RefusalCode.EXISTS_WITH_OTHER_CONTENT,
                    f"the call holds transfer {transfer.transfer_id} twice, with different content",
                )
            )
    return entries.values(), refused


def check_accounts(transfer: Transfer, books: KnownBooks) -> tuple[AccountState, AccountState]:
    """Both accounts of a transfer that could be between them, were there money enough. Raises TransferRefused."""
    institution, amount = transfer.institution_id, transfer.amount.minor_units
    debit = books.accounts.get((institution, transfer.debit_account_id))
    credit = books.accounts.get((institution, transfer.credit_account_id))
    if amount <= 0:
        raise TransferRefused(RefusalCode.ZERO_AMOUNT, f"the amount is {transfer.amount}; it must be above zero")
    if not id_fits_day(transfer.transfer_id, transfer.booking_date):
        raise _misplaced(transfer)
    if transfer.debit_account_id == transfer.credit_account_id:
        raise TransferRefused(RefusalCode.SAME_ACCOUNT, f"account {transfer.debit_account_id} is debited and credited")
    if debit is None or credit is None:
        missing = transfer.debit_account_id if debit is None else transfer.credit_account_id
        raise TransferRefused(RefusalCode.UNKNOWN_ACCOUNT, f"institution {institution} has no account {missing}")
    day, currency = transfer.booking_date, transfer.amount.currency
    for side in (debit, credit):
        if day < side.opened_on or (side.closed_on is not None and side.closed_on <= day):
            raise TransferRefused(RefusalCode.CLOSED_ACCOUNT, _closed(side, day))
    if books.closed_months and (institution, day.replace(day=1)) in books.closed_months:
        check_new(transfer, books)
        raise TransferRefused(
            RefusalCode.CLOSED_PERIOD,
            f"{day:%Y-%m} is closed at institution {institution}; book the correction in an open month",
        )
    if not currency == debit.currency == credit.currency:
        raise TransferRefused(
            RefusalCode.CURRENCY,
            f"the amount is in {currency}, {debit.code} holds {debit.currency} and {credit.code} holds {credit.currency}",
        )
    return debit, credit


def _misplaced(transfer: Transfer) -> TransferRefused:
    """No partition of the journal takes it: there is none for its day, or its id leads to another one."""
    day = transfer.booking_date
    if not in_calendar(day):
        return TransferRefused(RefusalCode.OUT_OF_CALENDAR, f"it is booked on {day}; the books have months from 2000 to 2099")
    return TransferRefused(
        RefusalCode.ID_OF_OTHER_MONTH,
        f"it is booked on {day} and its id {transfer.transfer_id} is of another month; make the id of institution, booking date "
        "and source with ledger.model.transfer_id",
    )


class _Judge:
    """Goes through the journal entries of one call, keeping what earlier ones have changed."""

    def __init__(  # noqa: PLR0917  one call's state in its parts
        self,
        books: KnownBooks,
        attached: Attachments,
        decision: Decision,
        verdict: Verdict,
        wanted: set[TransferKey],
        keep_all: bool,
    ) -> None:
        self.books = books
        self.attached = attached
        self.decision = decision
        self.verdict = verdict
        #: Originals that reversals and corrections name: besides links, the only transfers that later ones look up.
        self.wanted = wanted
        #: Whether a later call may hold the same transfer once more.
        self.keep_all = keep_all
        self.linked = bool(wanted or attached or keep_all)

    def judge_entry(self, members: list[Transfer]) -> None:
        """Accept the whole entry or refuse it whole."""
        before: list[tuple[AccountState, int, int]] = []
        freed: list[tuple[AccountState, int, int]] = []
        accepted: list[NumberedTransfer] = []
        already: list[UUID] = []
        anything_posted = bool(self.books.posted)
        try:
            for transfer in members:
                if anything_posted and self._is_posted(transfer):
                    already.append(transfer.transfer_id)
                else:
                    accepted.append(self._number(transfer, before, freed))
        except TransferRefused as refusal:
            for state, seq, balance in reversed(before):
                state.seq, state.balance = seq, balance
            for state, lowest, highest in reversed(freed):
                state.lowest, state.highest = lowest, highest
            self._refuse(members, transfer, refusal)
            if self.linked:
                self._forget(accepted)
            return
        self.verdict.already_posted += already
        if accepted:
            self.verdict.posted += [line[0].transfer_id for line in accepted]
            for line in accepted:
                self.decision.accepted.setdefault(line[0].institution_id, []).append(line)
            if self.attached:
                self._keep_attached(accepted)

    def _refuse(self, members: list[Transfer], culprit: Transfer, refusal: TransferRefused) -> None:
        for member in members:
            if member is culprit:
                self.verdict.refused.append(Refusal(member.transfer_id, refusal.code, refusal.message))
            elif self._was_posted(member):
                self.verdict.already_posted.append(member.transfer_id)
            else:
                message = f"transfer {culprit.transfer_id}, which it is linked to, was refused ({refusal.code})"
                self.verdict.refused.append(Refusal(member.transfer_id, RefusalCode.LINKED_REFUSED, message))

    def _was_posted(self, transfer: Transfer) -> bool:
        key = (transfer.institution_id, transfer.transfer_id)
        return key not in self.attached.remembered and self.books.posted.get(key) == transfer

    def _forget(self, accepted: list[NumberedTransfer]) -> None:
        """Take back what accepted members of a refused entry opened, cleared, resolved and reversed."""
        books, attached = self.books, self.attached
        for transfer, *_ in accepted:
            institution, key = transfer.institution_id, (transfer.institution_id, transfer.transfer_id)
            books.posted.pop(key, None)
            attached.remembered.discard(key)
            if transfer.reverses is not None:
                books.reversed_by.pop((institution, transfer.reverses), None)
            if key in attached.opened:
                books.items.pop(key, None)
            if key in attached.clearing:
                books.cleared.pop((institution, attached.clearing[key].item_id), None)
            if key in attached.resolving:
                books.resolved.pop((institution, attached.resolving[key].pending_id), None)

    def _keep_attached(self, accepted: list[NumberedTransfer]) -> None:
        decision, attached = self.decision, self.attached
        for transfer, *_ in accepted:
            key = (transfer.institution_id, transfer.transfer_id)
            if key in attached.opened:
                decision.open_items.append(attached.opened[key])
            if key in attached.clearing:
                decision.clearings.append((attached.clearing[key], transfer.booking_date))
            if key in attached.resolving:
                decision.resolutions.append((attached.resolving[key], transfer.booking_date))
            if key in attached.correcting:
                decision.corrections.append(attached.correcting[key])

    def _is_posted(self, transfer: Transfer) -> bool:
        """Whether it stands in the books with this very content, its open item, clearing and resolution included."""
        if self.books.posted.get((transfer.institution_id, transfer.transfer_id)) != transfer:
            return False
        if self.attached:
            check_still_attached(transfer, self.attached, self.books)
        return True

    def _number(
        self,
        transfer: Transfer,
        before: list[tuple[AccountState, int, int]],
        freed: list[tuple[AccountState, int, int]],
    ) -> NumberedTransfer:
        """Check one transfer and move its two accounts. Checks stand in the order of RefusalCode."""
        institution, amount, books = transfer.institution_id, transfer.amount.minor_units, self.books
        debit, credit = check_accounts(transfer, books)
        if books.posted or self.linked:
            check_links(transfer, debit, credit, self.attached, books)
            key = (institution, transfer.transfer_id)
            if key in self.attached.resolving:
                self._free(books.pending[institution, self.attached.resolving[key].pending_id].amount, debit, credit, freed)
        debit_balance, credit_balance = debit.balance + amount, credit.balance - amount
        if debit_balance > debit.highest:
            raise too_far(debit, debit_balance)
        if credit_balance < credit.lowest:
            raise too_far(credit, credit_balance)

        before += ((debit, debit.seq, debit.balance), (credit, credit.seq, credit.balance))
        debit.seq += 1
        debit.balance = debit_balance
        credit.seq += 1
        credit.balance = credit_balance
        if self.linked:
            self._remember(transfer)
        return transfer, debit.seq, debit_balance, credit.seq, credit_balance

    @staticmethod
    def _free(reserved: Money, debit: AccountState, credit: AccountState, freed: list[tuple[AccountState, int, int]]) -> None:
        """Give back what a pending transfer reserved, before the transfer that posts it is judged."""
        freed += ((debit, debit.lowest, debit.highest), (credit, credit.lowest, credit.highest))
        if debit.highest != UNBOUNDED:
            debit.highest += reserved.minor_units
        if credit.lowest != -UNBOUNDED:
            credit.lowest -= reserved.minor_units

    def _remember(self, transfer: Transfer) -> None:
        """Keep what later transfers may refer to."""
        institution, key = transfer.institution_id, (transfer.institution_id, transfer.transfer_id)
        books, attached = self.books, self.attached
        if self.keep_all or key in self.wanted:
            books.posted[key] = transfer
            attached.remembered.add(key)
        if transfer.reverses is not None:
            books.reversed_by[institution, transfer.reverses] = transfer.transfer_id
        if key in attached.opened:
            books.items[key] = attached.opened[key]
        if key in attached.clearing:
            books.cleared[institution, attached.clearing[key].item_id] = transfer.transfer_id
        if key in attached.resolving:
            books.resolved[institution, attached.resolving[key].pending_id] = transfer.transfer_id
        if key in attached.correcting:
            books.corrects[key] = attached.correcting[key].corrects


def _closed(account: AccountState, day: date) -> str:
    if day < account.opened_on:
        return f"account {account.code} opens on {account.opened_on}, the booking date is {day}"
    return f"account {account.code} closed on {account.closed_on}, the booking date is {day}"


def too_far(account: AccountState, balance: int) -> TransferRefused:
    """Why the account cannot move to that balance: its floor, or what a BIGINT holds."""
    if abs(balance) > UNBOUNDED:
        return TransferRefused(
            RefusalCode.OVERFLOW, f"the balance of account {account.code} would be more than the books can hold"
        )
    credit_normal = account.highest != UNBOUNDED
    shown, limit = (-balance, -account.highest) if credit_normal else (balance, account.lowest)
    reserved = f" (with {Money(account.reserved, account.currency)} reserved when this call began)" if account.reserved else ""
    return TransferRefused(
        RefusalCode.BELOW_FLOOR,
        f"account {account.code} would fall to {Money(shown, account.currency)}, "
        f"below its floor of {Money(limit, account.currency)}{reserved}",
    )
