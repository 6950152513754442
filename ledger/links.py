"""What a transfer must have to do with other transfers, open items and pending transfers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from ledger.model import Clearing, Correction, OpenItem, RefusalCode, Resolution, Transfer
from ledger.state import AccountState, KnownBooks, TransferKey

_Attached = TypeVar("_Attached", OpenItem, Clearing, Resolution, Correction)


class TransferRefused(Exception):
    """One transfer fails a check; never leaves the package."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        self.code = code
        self.message = message


@dataclass(slots=True)
class Attachments:
    """What the transfers of a call carry, by transfer. ``remembered``: those accepted and put into ``books.posted``."""

    opened: dict[TransferKey, OpenItem] = field(default_factory=dict)
    clearing: dict[TransferKey, Clearing] = field(default_factory=dict)
    resolving: dict[TransferKey, Resolution] = field(default_factory=dict)
    correcting: dict[TransferKey, Correction] = field(default_factory=dict)
    remembered: set[TransferKey] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.opened or self.clearing or self.resolving or self.correcting)

    @classmethod
    def of(
        cls,
        transfers: Sequence[Transfer],
        open_items: Iterable[OpenItem],
        clearings: Iterable[Clearing],
        resolutions: Iterable[Resolution],
        corrections: Iterable[Correction],
    ) -> Attachments:
        """Raises ValueError when one belongs to no transfer of the call, or two differing ones to the same."""
        attached = cls(
            opened=_by_transfer(((i.institution_id, i.item_id), i) for i in open_items),
            clearing=_by_transfer(((c.institution_id, c.clearing_transfer_id), c) for c in clearings),
            resolving=_by_transfer(((r.institution_id, r.transfer_id), r) for r in resolutions),
            correcting=_by_transfer(((c.institution_id, c.transfer_id), c) for c in corrections),
        )
        given = {*attached.opened, *attached.clearing, *attached.resolving, *attached.correcting}
        if given:
            given -= {(t.institution_id, t.transfer_id) for t in transfers}
        if given:
            raise ValueError(
                f"an open item, clearing, resolution or correction belongs to transfer {next(iter(given))[1]}, "
                "which is not in the call"
            )
        return attached


def _by_transfer(pairs: Iterable[tuple[TransferKey, _Attached]]) -> dict[TransferKey, _Attached]:
    found: dict[TransferKey, _Attached] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise ValueError(f"transfer {key[1]} has two different open items, clearings, resolutions or corrections")
    return found


def check_still_attached(transfer: Transfer, attached: Attachments, books: KnownBooks) -> None:
    """A transfer that is in the books must have come with the same open item, clearing, resolution and correction."""
    key = (transfer.institution_id, transfer.transfer_id)
    other = RefusalCode.EXISTS_WITH_OTHER_CONTENT
    if key in attached.opened and books.items.get(key) != attached.opened[key]:
        raise TransferRefused(other, f"transfer {key[1]} was posted before with another open item, or none")
    if key in attached.clearing:
        cleared_by = books.cleared.get((key[0], attached.clearing[key].item_id))
        if cleared_by is None:
            raise TransferRefused(other, f"transfer {key[1]} was posted before without clearing that item")
        if cleared_by != key[1]:
            raise TransferRefused(
                RefusalCode.ALREADY_CLEARED, f"open item {attached.clearing[key].item_id} was cleared by transfer {cleared_by}"
            )
    if key in attached.resolving and books.resolved.get((key[0], attached.resolving[key].pending_id)) != key[1]:
        raise TransferRefused(other, f"transfer {key[1]} was posted before without resolving that pending transfer")
    if key in attached.correcting and books.corrects.get(key) != attached.correcting[key].corrects:
        raise TransferRefused(other, f"transfer {key[1]} was posted before without correcting that transfer")


def check_new(transfer: Transfer, books: KnownBooks) -> None:
    """Its id is not in the books (with the same content it would not be judged at all)."""
    if (transfer.institution_id, transfer.transfer_id) in books.posted:
        raise TransferRefused(
            RefusalCode.EXISTS_WITH_OTHER_CONTENT,
            f"{transfer.source_kind} {transfer.source_ref} was posted before with other content "
            f"(transfer {transfer.transfer_id})",
        )


def check_links(transfer: Transfer, debit: AccountState, credit: AccountState, attached: Attachments, books: KnownBooks) -> None:
    """Its id is new, and what it reverses, opens, clears, corrects and resolves is there, fits, and happens once."""
    key = (transfer.institution_id, transfer.transfer_id)
    check_new(transfer, books)
    if transfer.reverses is not None:
        _check_reversal(transfer, transfer.reverses, books)
    if key in attached.opened:
        _check_item(attached.opened[key], transfer, debit, credit)
    if key in attached.clearing:
        _check_clearing(attached.clearing[key], transfer, books)
    if key in attached.correcting and (key[0], attached.correcting[key].corrects) not in books.posted:
        raise TransferRefused(
            RefusalCode.UNKNOWN_CORRECTED, f"it corrects transfer {attached.correcting[key].corrects}, which is not in the books"
        )
    if key in attached.resolving:
        _check_resolution(attached.resolving[key], transfer, books)


def _check_reversal(transfer: Transfer, reverses: UUID, books: KnownBooks) -> None:
    original_key = (transfer.institution_id, reverses)
    original = books.posted.get(original_key)
    if original is None:
        raise TransferRefused(RefusalCode.UNKNOWN_ORIGINAL, f"it reverses transfer {reverses}, which is not in the books")
    if original_key in books.reversed_by:
        by = books.reversed_by[original_key]
        raise TransferRefused(RefusalCode.ALREADY_REVERSED, f"transfer {reverses} was reversed by transfer {by}")
    mirrored = (original.credit_account_id, original.debit_account_id, original.amount)
    if (transfer.debit_account_id, transfer.credit_account_id, transfer.amount) != mirrored:
        raise TransferRefused(RefusalCode.REVERSAL_MISMATCH, f"it is not the mirror of transfer {reverses} ({original.amount})")


def _check_clearing(clearing: Clearing, transfer: Transfer, books: KnownBooks) -> None:
    item_key = (clearing.institution_id, clearing.item_id)
    item = books.items.get(item_key)
    if item is None:
        raise TransferRefused(RefusalCode.UNKNOWN_ITEM, f"it clears open item {clearing.item_id}, which is not in the books")
    if item_key in books.cleared:
        by = books.cleared[item_key]
        raise TransferRefused(RefusalCode.ALREADY_CLEARED, f"open item {clearing.item_id} was cleared by transfer {by}")
    account = transfer.credit_account_id if item.direction == "IN" else transfer.debit_account_id
    if account != item.account_id or transfer.amount != item.amount:
        raise TransferRefused(
            RefusalCode.CLEARING_MISMATCH,
            f"it moves {transfer.amount}; open item {clearing.item_id} is {item.amount} {item.direction} "
            f"on account {item.account_id}",
        )


def _check_resolution(resolution: Resolution, transfer: Transfer, books: KnownBooks) -> None:
    key = (resolution.institution_id, resolution.pending_id)
    pending = books.pending.get(key)
    if pending is None:
        raise TransferRefused(
            RefusalCode.UNKNOWN_PENDING, f"it posts pending transfer {resolution.pending_id}, which is not in the books"
        )
    if key in books.resolved:
        by = books.resolved[key]
        how = f"posted by transfer {by}" if by else "voided or expired"
        raise TransferRefused(RefusalCode.ALREADY_RESOLVED, f"pending transfer {resolution.pending_id} was {how}")
    if pending.expires_on is not None and transfer.booking_date > pending.expires_on:
        raise TransferRefused(
            RefusalCode.PENDING_EXPIRED,
            f"pending transfer {resolution.pending_id} could be posted through {pending.expires_on}, "
            f"not on {transfer.booking_date}",
        )
    accounts = (transfer.debit_account_id, transfer.credit_account_id, transfer.amount.currency)
    reserved = (pending.debit_account_id, pending.credit_account_id, pending.amount.currency)
    if accounts != reserved or transfer.amount.minor_units > pending.amount.minor_units:
        raise TransferRefused(
            RefusalCode.RESOLUTION_MISMATCH,
            f"it moves {transfer.amount}; pending transfer {resolution.pending_id} reserves {pending.amount} "
            f"from account {pending.debit_account_id} to {pending.credit_account_id} (debit, credit)",
        )


def _check_item(item: OpenItem, transfer: Transfer, debit: AccountState, credit: AccountState) -> None:
    """An open item is what its transfer puts in transit."""
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
        raise TransferRefused(
            RefusalCode.OPEN_ITEM_MISMATCH,
            f"its open item ({item.direction} {item.amount}, account {item.account_id}) is not what it puts in transit "
            f"({transfer.amount}, account {account_id} {'in transit' if state.in_transit else 'not an in-transit account'})",
        )
