"""A statement while it is being read, and the control figures its file declares about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from bank_adapters.line_store import LineStore
from bank_adapters.model import Direction, Statement, StatementKind, StatementLine
from bank_adapters.tally import Tally
from money import Money

_IN, _OUT = Direction.IN, Direction.OUT


@dataclass(slots=True)
class Declared:
    """A control figure as declared: minor units or a count, and the line that says so."""

    value: int
    line: int | None = None


@dataclass(slots=True)
class ControlTotals:
    """Counts and sums a file declares. ``floor_minor_units``: smaller lines are not sent (MT942 :34F:)."""

    line_count: Declared | None = None
    in_count: Declared | None = None
    out_count: Declared | None = None
    in_total: Declared | None = None
    out_total: Declared | None = None
    net_total: Declared | None = None
    gross_total: Declared | None = None  # in and out added together
    floor_minor_units: int | None = None
    #: tables add up columns, where a reversal stands negative on the side of what it undoes
    by_booked_side: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """Running balances that were seen to follow from each other from the oldest to the newest line, in minor units."""

    before: int  # the oldest line
    line: int  # of the newest
    balance: int  # after it
    currency: str


@dataclass(slots=True)
class StatementDraft:
    """Fields of ``Statement``, filled while reading."""

    kind: StatementKind = StatementKind.STATEMENT
    account: str | None = None
    currency: str | None = None
    statement_id: str | None = None
    sequence: str | None = None
    opening_balance: Money | None = None
    opening_date: date | None = None
    opening_line: int | None = None
    closing_balance: Money | None = None
    closing_date: date | None = None
    closing_line: int | None = None
    lines: LineStore = field(default_factory=LineStore)
    line: int | None = None
    account_name: str | None = None
    newest_first: bool = False
    page: int | None = None
    last_page: bool = True
    opening_finer: str | None = None
    closing_finer: str | None = None
    totals: ControlTotals = field(default_factory=ControlTotals)
    chain: Chain | None = None  # where the reader has followed the running balances of all lines itself

    @property
    def tally(self) -> Tally:
        """Counts and sums of the lines so far."""
        return self.lines.tally

    def finished(self, *, accepted: bool) -> Statement:
        """The statement as read."""
        return Statement(
            kind=self.kind,
            account=self.account,
            currency=self.currency,
            statement_id=self.statement_id,
            sequence=self.sequence,
            opening_balance=self.opening_balance,
            opening_date=self.opening_date,
            closing_balance=self.closing_balance,
            closing_date=self.closing_date,
            lines=self.lines.settled(),
            accepted=accepted,
            line=self.line,
            account_name=self.account_name,
            newest_first=self.newest_first,
            page=self.page,
            last_page=self.last_page,
            opening_finer=self.opening_finer,
            closing_finer=self.closing_finer,
        )


def signed(line: StatementLine) -> int:
    """Minor units by effect on the account: positive in, negative out, nothing for a line that moves nothing."""
    return signed_units(line.direction, line.amount.minor_units)


def signed_units(direction: str, units: int) -> int:
    """As ``signed``, of a direction (or its text) and minor units."""
    if direction == _IN:
        return units
    return -units if direction == _OUT else 0
