"""What an engine found, as plain records a score is made of, and the line of a score that counts it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

#: Stands for a bank line that carries no reference of the bank.
NAMELESS = "-"


@dataclass(frozen=True, slots=True)
class FoundMatch:
    """A confirmed match of one bank line. ``book_references``: order ids, instruction id or RF reference it was matched with."""

    account_number: str
    booking_date: date
    bank_reference: str
    amount: int
    book_references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundDiscrepancy:
    """One discrepancy as first named. ``business_date`` is the run's day; amounts in fen.

    ``bank_members`` are the bank references of exactly its lines (NAMELESS for a line without one), ``book_members`` the order
    ids, instruction ids or RF references of exactly its items; ``references`` everything else its evidence carries, too.
    """

    kind: str
    account_number: str
    business_date: date
    amount: int
    difference: int
    bank_members: tuple[str, ...]
    book_members: tuple[str, ...]
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundPayment:
    """A release (``key`` order id#class-hour number), refund (request id) or disbursement (instruction id): fen above zero
    and the day it was released, approved or instructed.
    """

    key: str
    amount: int
    on: date


@dataclass(frozen=True, slots=True)
class FoundBalance:
    """What the engine holds of one account and day: the bank's balances in fen, and whether coverage was proven."""

    account_number: str
    day: date
    opening: int
    closing: int
    covered: bool


@dataclass(frozen=True, slots=True)
class FoundFinding:
    """A refused row: ``file`` as imported (its path relative to ``inputs/``), 1-based line, field."""

    file: str
    line: int
    field: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """Everything an engine found in a district. What stays None is not scored."""

    matches: Sequence[FoundMatch]
    discrepancies: Sequence[FoundDiscrepancy]
    releases: Sequence[FoundPayment] | None = None
    refunds: Sequence[FoundPayment] | None = None
    disbursements: Sequence[FoundPayment] | None = None
    balances: Sequence[FoundBalance] | None = None
    findings: Sequence[FoundFinding] | None = None


@dataclass(slots=True)
class Tally:
    """One line of a score. ``expected`` = ``right`` + ``wrong`` + ``missed``, except that wrong also counts what the key does not
    know (``invented``). Money in fen: of what is wrong, missed or invented.
    """

    name: str
    expected: int = 0
    right: int = 0
    wrong: int = 0
    missed: int = 0
    invented: int = 0
    money: int = 0
    details: list[str] = field(default_factory=list)

    @property
    def perfect(self) -> bool:
        """Nothing wrong, missed or invented."""
        return not (self.wrong or self.missed or self.invented)

    def fault(self, what: str, amount: int, text: str) -> None:
        """Count one fault (``wrong``, ``missed`` or ``invented``) with its money and a sentence."""
        setattr(self, what, getattr(self, what) + 1)
        self.money += abs(amount)
        self.details.append(text)


def few(references: Iterable[str]) -> str:
    """References for a sentence: at most three of them."""
    listed = list(references)
    shown = ", ".join(listed[:3]) or "no reference"
    return f"{shown} and {len(listed) - 3} more" if len(listed) > 3 else shown
