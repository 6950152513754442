"""Counts and sums of a statement's lines, kept while they are read: the checks at its end need no second walk over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

from bank_adapters.model import Direction, LineStatus, StatementLine
from bank_adapters.packing import PackedColumns, PackedLine, lines_of

_IN, _OUT, _BOOKED = Direction.IN.value, Direction.OUT.value, LineStatus.BOOKED  # an enum's name costs more than the comparison


@dataclass(slots=True)
class Side:
    """Lines of one kind by effect: counts and sums in minor units, and how much of them were reversals."""

    lines: int = 0
    in_count: int = 0
    in_total: int = 0
    out_count: int = 0
    out_total: int = 0
    reversed_in_count: int = 0  # of the lines in, those that undo a line out
    reversed_in_total: int = 0
    reversed_out_count: int = 0
    reversed_out_total: int = 0

    def add(self, direction: str, units: int, *, reversal: bool) -> None:
        """Count a line of ``units``; a member of ``Direction`` is its text."""
        self.lines += 1
        if direction == _IN:
            self.in_count += 1
            self.in_total += units
            if reversal:
                self.reversed_in_count += 1
                self.reversed_in_total += units
        elif direction == _OUT:
            self.out_count += 1
            self.out_total += units
            if reversal:
                self.reversed_out_count += 1
                self.reversed_out_total += units

    def plus(self, other: Side) -> Side:
        """Both together."""
        return Side(*(getattr(self, name) + getattr(other, name) for name in Side.__slots__))

    def by_side(self, booked_side: bool) -> dict[str, int]:
        """The figures a file may declare; with ``booked_side`` a reversal counts, negative, on the side of what it undoes."""
        in_count, in_total, out_count, out_total = self.in_count, self.in_total, self.out_count, self.out_total
        if booked_side:
            in_count += self.reversed_out_count - self.reversed_in_count
            out_count += self.reversed_in_count - self.reversed_out_count
            in_total, out_total = (
                in_total - self.reversed_in_total - self.reversed_out_total,
                out_total - self.reversed_out_total - self.reversed_in_total,
            )
        return {
            "line_count": self.lines, "in_count": in_count, "out_count": out_count,
            "in_total": in_total, "out_total": out_total, "net_total": in_total - out_total,
            "gross_total": in_total + out_total,
        }  # fmt: skip


@dataclass(slots=True)
class Tally:
    """Figures of all lines of one statement."""

    booked: Side = field(default_factory=Side)
    other: Side = field(default_factory=Side)
    currencies: set[str] = field(default_factory=set)
    booked_currencies: set[str] = field(default_factory=set)
    finer: bool = False
    running_balances: int = 0

    def add(self, line: StatementLine) -> None:
        """Count a line."""
        amount = line.amount
        side = self._side(amount.currency, booked=line.status is _BOOKED)
        if line.finer:
            self.finer = True
        if line.running_balance is not None:
            self.running_balances += 1
        side.add(line.direction, amount.minor_units, reversal=line.reversal)

    def add_packed(self, lines: Iterable[PackedLine]) -> None:
        """Count lines given as plain values."""
        currency = status = None
        side = self.booked
        for line in lines:
            (
                _, _, direction, units, line_currency, line_status, _, _, _, _, _, _, _, reversal, _, _,
                balance_currency, _, _, finer,
            ) = line  # fmt: skip
            if line_currency != currency or line_status != status:
                currency, status = line_currency, line_status
                side = self._side(line_currency, booked=line_status == _BOOKED)
            if finer:
                self.finer = True
            if balance_currency is not None:
                self.running_balances += 1
            side.add(direction, units, reversal=reversal)

    def add_columns(self, count: int, columns: PackedColumns) -> None:
        """Count lines given by column; one by one where they differ in more than direction and amount."""
        (
            _, _, direction, units, currency, status, _, _, _, _, _, _, _, reversal, _, _, balance_currency, _, _, finer,
        ) = columns  # fmt: skip
        if not (_all_are(currency[0], currency) and _all_are(status[0], status) and _all_are(False, reversal)):
            self.add_packed(lines_of(count, columns))
            return
        if any(finer):
            self.finer = True
        self.running_balances += (len(balance_currency) - balance_currency.count(None)) * (count // len(balance_currency))
        side = self._side(currency[0], booked=status[0] == _BOOKED)
        side.lines += count
        if len(direction) < count:
            direction = [*direction] * count
        if len(units) < count:
            units = [*units] * count
        in_count, out_count = direction.count(_IN), direction.count(_OUT)
        in_total = sum(compress(units, [each == _IN for each in direction]))
        side.in_count += in_count
        side.in_total += in_total
        side.out_count += out_count
        if in_count + out_count == count:
            side.out_total += sum(units) - in_total
        else:  # some move nothing
            side.out_total += sum(compress(units, [each == _OUT for each in direction]))

    def _side(self, currency: str, *, booked: bool) -> Side:
        """The side that lines of this status count on; their currency is noted."""
        self.currencies.add(currency)
        if not booked:
            return self.other
        self.booked_currencies.add(currency)
        return self.booked


def _all_are(value: object, column: Sequence[Any]) -> bool:
    return column.count(value) == len(column)
