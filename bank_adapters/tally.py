"""Counts and sums of a statement's lines, kept while they are read: the checks at its end need no second walk over them."""

from __future__ import annotations

from dataclasses import dataclass, field

from bank_adapters.model import Direction, LineStatus, StatementLine


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
        units = amount.minor_units
        self.currencies.add(amount.currency)
        if line.status is LineStatus.BOOKED:
            side = self.booked
            self.booked_currencies.add(amount.currency)
        else:
            side = self.other
        if line.finer:
            self.finer = True
        if line.running_balance is not None:
            self.running_balances += 1
        side.lines += 1
        if line.direction is Direction.IN:
            side.in_count += 1
            side.in_total += units
            if line.reversal:
                side.reversed_in_count += 1
                side.reversed_in_total += units
        elif line.direction is Direction.OUT:
            side.out_count += 1
            side.out_total += units
            if line.reversal:
                side.reversed_out_count += 1
                side.reversed_out_total += units
