"""What a decision needs to know of the books. Pure values; ``ledger.known`` reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from ledger.model import OpenItem, PendingTransfer, Transfer

#: (institution_id, account_id), (institution_id, id of a transfer, an item or a pending transfer)
AccountKey = tuple[int, int]
TransferKey = tuple[int, UUID]

#: The largest balance a BIGINT column holds.
UNBOUNDED = 2**63 - 1


@dataclass(slots=True)
class AccountState:
    """An account as the books hold it. ``balance`` is debits minus credits in minor units, ``seq`` its last posting's number.

    The floor is given in terms of ``balance``, which may not go below ``lowest`` (a debit account's floor and what is reserved)
    nor above ``highest`` (a credit account's, negated); UNBOUNDED either way when there is none. ``reserved`` is what pending
    transfers take away, already counted in them.
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
    reserved: int = 0


@dataclass(slots=True)
class KnownBooks:
    """What a decision needs to know of the books: nothing outside these keys is touched by the call.

    ``posted``: transfers in the books among the ids of the call, the originals its reversals and corrections name and its
    clearings. ``reversed_by``: original -> the transfer that reversed it. ``items``: open items opened before;
    ``cleared``: item -> the transfer that cleared it. ``pending``: what its resolutions name; ``resolved``: pending -> the
    transfer that posted it, None when voided or expired. ``corrects``: transfer -> what it was recorded to correct.
    ``closed_months``: (institution, first day). ``missing_months``: first days of months the journal has no partition for yet.
    """

    accounts: dict[AccountKey, AccountState]
    posted: dict[TransferKey, Transfer] = field(default_factory=dict)
    reversed_by: dict[TransferKey, UUID] = field(default_factory=dict)
    items: dict[TransferKey, OpenItem] = field(default_factory=dict)
    cleared: dict[TransferKey, UUID] = field(default_factory=dict)
    pending: dict[TransferKey, PendingTransfer] = field(default_factory=dict)
    resolved: dict[TransferKey, UUID | None] = field(default_factory=dict)
    corrects: dict[TransferKey, UUID] = field(default_factory=dict)
    closed_months: set[tuple[int, date]] = field(default_factory=set)
    missing_months: list[date] = field(default_factory=list)
