"""Nouns of intake and runs: whose account, what happened to a file and its statements, what a run found. No SQL, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from bank_adapters.model import Finding
from money import Money
from reconciliation.discrepancy import Discrepancy

if TYPE_CHECKING:
    from reconciliation.reasons import Reason


@dataclass(frozen=True, slots=True)
class CustodyAccountRef:
    """Which custody account: its numbers in our books and at its bank. ``opened_on`` is its first business day."""

    institution_id: int
    custody_account_id: int
    bank_code: str
    account_number: str
    currency: str
    opened_on: date
    account_name: str = ""


#: (bank code, account number without spaces) -> the custody account. Passed in: reconciliation knows no institutions.
AccountDirectory = Mapping[tuple[str, str], CustodyAccountRef]


class StatementOutcome(StrEnum):
    """What became of one statement of a file."""

    COUNTED = "counted"  # its lines count
    WAITING = "waiting"  # kept; counts when the statements before it have come
    QUARANTINED = "quarantined"  # held back; two persons may let it through
    REFUSED = "refused"  # kept as bytes only
    DUPLICATE = "duplicate"  # said before; nothing counts twice
    INFORMATION = "information"  # intraday report or advice: kept, never counted


class Arrival(StrEnum):
    """What came for one account and day; the best of several."""

    COUNTED = "received"
    WAITING = "waiting"
    QUARANTINED = "quarantined"
    REFUSED = "refused"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Came:
    """What came for an account and day, and when (the first file of that fate)."""

    arrival: Arrival
    at: datetime


class Gate(StrEnum):
    """What holds a statement back although two persons may overrule it. Nothing else that is wrong is ever let through."""

    RESTATED = "restated"  # other content for a day that counts or waits: a proposed new version
    SEQUENCE = "sequence"  # its balance follows, its number does not
    UNPROVED = "unproved"  # a digest, signature or manifest does not fit, or is owed and missing
    WRONG_SENDER = "wrong_sender"  # another bank keeps the account


@dataclass(frozen=True, slots=True)
class StatementFigures:
    """What was read of one statement, for the bank to compare: booked lines, their sums by direction, balances as stated.

    Amounts in minor units; None where the statement states none, or its lines are in several currencies. ``currency`` is that of
    the lines, else of the balances.
    """

    currency: str | None
    in_count: int
    in_minor_units: int | None
    out_count: int
    out_minor_units: int | None
    opening: Money | None
    closing: Money | None


@dataclass(frozen=True, slots=True)
class StatementReceipt:
    """What became of one statement: the account as the file names it, its day, the outcome, and why.

    ``kind`` is the discrepancy kind behind a refusal or a wait, where there is one; ``quarantine_id``: what is
    held back, and ``turned_down`` whether somebody has decided that it does not count. ``lines_absorbed``: how many of its lines
    were reported before, where the rest counts.
    """

    index: int
    account: str | None
    business_date: date | None
    outcome: StatementOutcome
    reasons: tuple[Reason, ...] = ()
    kind: str | None = None
    line_count: int = 0
    ref: CustodyAccountRef | None = None
    figures: StatementFigures | None = None
    quarantine_id: int | None = None
    turned_down: bool = False
    lines_absorbed: int = 0

    @property
    def held_back(self) -> bool:
        """Whether people still decide whether it counts."""
        return self.outcome is StatementOutcome.QUARANTINED and not self.turned_down

    @property
    def refused(self) -> bool:
        """Whether it does not count, and nobody decides about it."""
        return self.outcome is StatementOutcome.REFUSED or self.turned_down


_NOT_TAKEN_IN = (StatementOutcome.REFUSED, StatementOutcome.QUARANTINED)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one file: its number in our records, its digest, each statement, all findings of its reader."""

    statement_file_id: int
    file_name: str
    sha256: str
    format: str
    profile: str | None
    statements: tuple[StatementReceipt, ...]
    findings: tuple[Finding, ...]
    same_as_file_id: int | None = None

    @property
    def refused(self) -> bool:
        """Whether anything in the file was refused or held back."""
        return not self.statements or any(one.outcome in _NOT_TAKEN_IN for one in self.statements)

    @property
    def folder(self) -> str:
        """Where the file goes: ``held`` as long as people decide about any of it, else ``refused`` or ``accepted``."""
        if any(one.held_back for one in self.statements):
            return "held"
        return "refused" if self.refused else "accepted"


@dataclass(frozen=True, slots=True)
class SettlementItem:
    """That a channel says it settles an open item in a batch: amounts in minor units; ``fee`` is this item's share."""

    item_id: UUID
    group_key: str
    fee_minor_units: int = 0


@dataclass(frozen=True, slots=True)
class ClearedItem:
    """An open item a match has cleared, by which transfer, on which booking date."""

    institution_id: int
    item_id: UUID
    kind: str
    clearing_transfer_id: UUID
    cleared_on: date


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run of one account and day found. ``changed`` is False when everything had been found before."""

    account: CustodyAccountRef
    business_date: date
    run_id: int
    changed: bool
    statement_received: bool
    bank_lines: int
    matches: int
    cleared: tuple[ClearedItem, ...]
    opened: tuple[Discrepancy, ...]
    auto_cleared: tuple[str, ...]
    open_discrepancies: int
    closing: Money | None
    ledger_cash: Money
    output_hash: str
