"""In which order a table's rows stand, and the balances its running balances tell. Followed row by row while they are read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from operator import add, ne

from bank_adapters.draft import Chain, StatementDraft, signed, signed_units
from bank_adapters.findings import Findings
from bank_adapters.model import Direction, LineStatus, StatementLine
from bank_adapters.packing import PackedColumns, PackedLine, last_of, lines_of, unpack_line
from money import Money

_BOOKED, _IN = LineStatus.BOOKED.value, Direction.IN.value


@dataclass(slots=True)
class Order:
    """What the rows so far say of their order: where the chain of running balances breaks, read forwards and backwards."""

    first_booked: PackedLine | None = None
    last_booked: PackedLine | None = None
    first_dated: PackedLine | None = None
    last_dated: PackedLine | None = None
    unchained: bool = False  # a booked row without running balance
    forwards: int = 0
    backwards: int = 0
    _moved: int = 0  # by the last booked row
    _balance: int | None = None  # after it

    def follow(self, line: PackedLine) -> None:
        """Take the next row."""
        booking, _, direction, units, _, status, _, _, _, _, _, _, _, _, _, balance, _, _, _, _ = line
        if booking is not None:
            if self.first_dated is None:
                self.first_dated = line
            self.last_dated = line
        if status != _BOOKED:
            return
        moved = signed_units(direction, units)
        if balance is None:
            self.unchained = True
        if self.last_booked is None:
            self.first_booked = line
        elif balance is not None and (before := self._balance) is not None:
            self.forwards += balance != before + moved
            self.backwards += before != balance + self._moved
        self.last_booked, self._moved, self._balance = line, moved, balance

    def follow_columns(self, count: int, columns: PackedColumns) -> None:
        """Take the next rows, given by column."""
        booking, _, direction, units, _, status, _, _, _, _, _, _, _, _, _, balance, _, _, _, _ = columns
        before = self._balance
        chained = status.count(_BOOKED) == len(status) and None not in booking and None not in balance and len(balance) == count
        if not chained or self.first_dated is None or before is None or len(units) != count:
            for line in lines_of(count, columns):
                self.follow(line)
            return
        moved = [each if way == _IN else -each for way, each in zip(direction, units, strict=True)]  # booked rows move money
        befores, moved_before = [before, *balance[:-1]], [self._moved, *moved[:-1]]
        if list(accumulate(moved, initial=before)) == [before, *balance]:
            # no break forwards; backwards there is none only where two rows undo each other
            self.backwards += count - list(map(add, moved, moved_before)).count(0)
        else:
            self.forwards += sum(map(ne, balance, map(add, befores, moved)))
            self.backwards += sum(map(ne, befores, map(add, balance, moved_before)))
        self._moved, self._balance = moved[-1], balance[-1]
        self.last_booked = self.last_dated = last_of(columns)

    @property
    def first(self) -> StatementLine | None:
        """The first booked row."""
        return unpack_line(self.first_booked) if self.first_booked else None

    @property
    def last(self) -> StatementLine | None:
        """The last booked row."""
        return unpack_line(self.last_booked) if self.last_booked else None

    def decide(self, draft: StatementDraft, findings: Findings, *, newest_first: bool, whole: bool) -> None:
        """Oldest first or newest first: whichever the running balances chain in; then what the ends of the chain tell.

        ``newest_first`` is what the profile says where neither balances nor dates tell; ``whole`` that no row was refused.
        """
        first = self.first
        chained = first is not None and whole and not self.unchained
        by_dates = self._by_dates()
        if chained and self.forwards != self.backwards:
            draft.newest_first = self.backwards < self.forwards
        else:
            draft.newest_first = newest_first if by_dates is None else by_dates
            if chained and self.forwards and by_dates is None and first is not None:
                findings.add("order_undecided", line=first.line, field="running_balance")
        if chained and not min(self.forwards, self.backwards):
            ends = (first, self.last)
            self._balances(draft, *(ends[::-1] if draft.newest_first else ends), findings)

    @staticmethod
    def _balances(draft: StatementDraft, oldest: StatementLine | None, newest: StatementLine | None, findings: Findings) -> None:
        """Opening and closing balance out of an intact chain, where the file states none."""
        derived = False
        if oldest and newest and oldest.running_balance is not None and newest.running_balance is not None:
            before, after = oldest.running_balance.minor_units - signed(oldest), newest.running_balance
            draft.chain = Chain(before, newest.line, after.minor_units, after.currency)
        if oldest is not None and oldest.running_balance is not None and draft.opening_balance is None:
            draft.opening_balance = Money(oldest.running_balance.minor_units - signed(oldest), oldest.amount.currency)
            draft.opening_date = draft.opening_date or oldest.booking_date
            derived = True
        if newest is not None and newest.running_balance is not None and draft.closing_balance is None:
            draft.closing_balance, draft.closing_line = newest.running_balance, newest.line
            draft.closing_date = draft.closing_date or newest.booking_date
            derived = True
        if derived:
            findings.add("balance_derived", line=draft.line, field="running_balance")

    def _by_dates(self) -> bool | None:
        """Whether the first moment is later than the last, None when they say nothing."""
        if self.first_dated is None or self.last_dated is None:
            return None
        first, last = unpack_line(self.first_dated), unpack_line(self.last_dated)
        if first.booking_date is None or last.booking_date is None:
            return None
        if first.booking_date != last.booking_date:
            return first.booking_date > last.booking_date
        if first.booked_at is not None and last.booked_at is not None and first.booked_at != last.booked_at:
            return first.booked_at > last.booked_at
        return None
