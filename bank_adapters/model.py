"""What a bank's file says, in one shape for every format (meanings of ISO 20022, words of docs/glossary.md).

Nouns only: no I/O, no database, no policy. Amounts are Money; dates are calendar dates as the bank wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from money import Money


class Direction(StrEnum):
    """Which way money really moved, seen from the account's owner; reversals are given by their effect."""

    IN = "IN"  # into the custody account (the bank's credit, 贷)
    OUT = "OUT"  # out of the custody account (the bank's debit, 借)
    NONE = "NONE"  # neither: the file lists it and says that it moves nothing (不计收支); always of status INFORMATION


class StatementKind(StrEnum):
    STATEMENT = "statement"  # end of period, with booked balances (MT940/950, camt.053)
    INTRADAY = "intraday"  # interim report (MT942, camt.052)
    NOTIFICATION = "notification"  # debit/credit advice (camt.054)


class LineStatus(StrEnum):
    BOOKED = "BOOKED"  # part of the booked balance
    PENDING = "PENDING"  # expected (PDNG, FUTR): does not touch the booked balance yet
    INFORMATION = "INFORMATION"  # told for information only (INFO, 不计收支, 交易关闭): never touches it


class Severity(StrEnum):
    ERROR = "error"  # the statement (or, with no statement index, the file) is refused
    WARNING = "warning"  # accepted, but somebody should look
    NOTE = "note"  # how something was read


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong or remarkable inside a file. Message says what and what to do; excerpt is masked.

    ``statement`` is the 0-based index of the statement it belongs to, None for the whole file. ``line`` is the 1-based
    line (or sheet row) in the file as received; ``offset`` the byte offset where no line is known.
    """

    severity: Severity
    code: str
    message: str
    statement: int | None = None
    line: int | None = None
    offset: int | None = None
    field: str | None = None
    excerpt: str | None = None
    message_zh: str | None = None
    member: str | None = None  # the file inside an archive that ``line`` counts in


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One movement the bank reports.

    ``amount`` is positive. ``references`` holds every token a matcher may use (bank, end-to-end, remittance), in the
    order found, without duplicates. ``running_balance`` is the bank's own balance after this line, where it gives one.
    ``line`` is where the movement starts in the file (1-based); ``source`` the exact text or cells it was read from.
    ``finer`` is the bank's figure where it has decimals the currency does not (``767.823`` EUR): ``amount`` then holds the whole
    minor units of it, and the statement is refused, because no money has the rest.
    """

    booking_date: date | None
    value_date: date | None
    direction: Direction
    amount: Money
    status: LineStatus
    line: int
    bank_reference: str | None = None
    end_to_end_reference: str | None = None
    references: tuple[str, ...] = ()
    counterparty_name: str | None = None
    counterparty_account: str | None = None
    description: str | None = None
    reversal: bool = False
    transaction_code: str | None = None
    running_balance: Money | None = None
    booked_at: datetime | None = None
    source: str | None = None
    finer: str | None = None

    @property
    def exact_amount(self) -> str:
        """The amount as decimal text exactly as the bank gave it, even where it is no whole number of minor units."""
        return self.finer or self.amount.plain


@dataclass(frozen=True, slots=True)
class Statement:
    """The bank's account of one custody account for a period. A statement without balances has None there."""

    kind: StatementKind
    account: str | None
    currency: str | None
    statement_id: str | None
    sequence: str | None
    opening_balance: Money | None
    opening_date: date | None
    closing_balance: Money | None
    closing_date: date | None
    lines: Sequence[StatementLine]  # a tuple, or for long statements bank_adapters.line_store.LineStore
    accepted: bool
    line: int | None = None
    account_name: str | None = None
    newest_first: bool = False  # lines stand in file order; true when that order runs backwards in time
    page: int | None = None  # of a statement sent in pages (:28C:5/2, StmtPgntn): see bank_adapters.pages
    last_page: bool = True
    opening_finer: str | None = None  # the bank's figure where it is no whole number of minor units; see StatementLine.finer
    closing_finer: str | None = None

    @property
    def lines_in_booking_order(self) -> Sequence[StatementLine]:
        """The lines oldest first, whatever order the file has them in."""
        return self.lines[::-1] if self.newest_first else self.lines


@dataclass(frozen=True, slots=True)
class StatementFileReading:
    """All that could be read of one file. ``accepted`` only when every statement and the file itself passed."""

    format: str
    profile: str | None
    encoding: str | None
    accepted: bool
    statements: tuple[Statement, ...]
    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
