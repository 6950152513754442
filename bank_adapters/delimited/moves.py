"""How a row says how much moved and which way: one function a direction rule (FORMATS.md, appendix A.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from bank_adapters.delimited.facts import amount_of
from bank_adapters.findings import Findings
from bank_adapters.model import Direction
from bank_adapters.profile import DirectionRule, TableLayout

Cells = dict[str, str]
Figures = dict[str, list[int | None]]  # signed minor units by field
Marks = Sequence[str | None]
#: Of many moves the units, the directions as text, and the reversals (one value when all are the same).
MoveColumns = tuple[list[int], list[str], Sequence[bool]]


class Move(NamedTuple):
    """Positive minor units, which way the money really moved, and whether that undoes another movement."""

    units: int
    direction: Direction
    reversal: bool


_SIGNED, _IN, _OUT = DirectionRule.SIGNED, Direction.IN, Direction.OUT


class Moves:
    """The direction rule of one layout."""

    def __init__(self, layout: TableLayout, findings: Findings) -> None:
        self.layout = layout
        self.findings = findings
        by_rule: dict[DirectionRule, Callable[[Cells, str, int], Move | None]] = {
            DirectionRule.MARK: self._marked,
            DirectionRule.MARK_ALONE: self._marked,
            DirectionRule.MARK_PREFIX: self._marked,
            DirectionRule.TWO_COLUMNS: self._two_columns,
            DirectionRule.SIGNED_COLUMNS: self._two_columns,
            DirectionRule.SIGNED: self._signed,
            DirectionRule.SPENDING: self._signed,
            DirectionRule.NET: self._net,
        }
        self.read = by_rule[layout.direction]
        by_column: dict[DirectionRule, Callable[[Figures, Marks | None, int], MoveColumns | None]] = {
            DirectionRule.MARK: self._marked_ones,
            DirectionRule.MARK_ALONE: self._marked_ones,
            DirectionRule.MARK_PREFIX: self._marked_ones,
            DirectionRule.TWO_COLUMNS: self._of_two_columns,
            DirectionRule.SIGNED_COLUMNS: self._of_two_columns,
            DirectionRule.SIGNED: self._signed_ones,
            DirectionRule.SPENDING: self._signed_ones,
        }
        #: as ``read``, of many rows whose figures are read already; None for those of which one may become a finding
        self.read_columns = by_column.get(layout.direction)
        self.signs = "".join(layout.amount_signs)
        self.sums: Counter[str] = Counter()  # rule net: of the columns, to be held against declared ones

    def _amount(self, cells: Cells, name: str, currency: str, line: int) -> int | None:
        """Signed minor units of a cell; 0 for an empty one."""
        text = cells.get(name)
        return amount_of(text, currency, self.layout, self.findings, line=line, field=name) if text else 0

    def _required(self, cells: Cells, name: str, currency: str, line: int) -> int | None:
        if cells.get(name):
            return self._amount(cells, name, currency, line)
        self.findings.add("amount_missing", line=line, field=name)
        return None

    def _signed(self, cells: Cells, currency: str, line: int) -> Move | None:
        units = self._required(cells, "amount", currency, line)
        if units is None:
            return None
        negative = cells["amount"].lstrip(self.signs).lstrip().startswith("-")
        out = negative if self.layout.direction is _SIGNED else not negative
        return Move(abs(units), _OUT if out else _IN, reversal=False)

    def _marked(self, cells: Cells, currency: str, line: int) -> Move | None:
        units = self._required(cells, "amount", currency, line)
        if units is None:
            return None
        mark = cells.get("mark", "")
        side = self._side_of(mark)
        if side is None:
            self.findings.add("direction_unreadable", line=line, field="mark", excerpt=mark)
            return None
        return self._marked_one(units, side)

    def _side_of(self, mark: str) -> Direction | None:
        """What a mark says, None when it is none of the layout's."""
        layout = self.layout
        if mark and layout.direction is DirectionRule.MARK_PREFIX:
            mark = next((each for each in (*layout.in_marks, *layout.out_marks) if mark.startswith(each)), mark)
        if mark in layout.neutral_marks:
            return Direction.NONE
        return _IN if mark in layout.in_marks else _OUT if mark in layout.out_marks else None

    def _marked_one(self, units: int, side: Direction) -> Move:
        if side is Direction.NONE:
            return Move(abs(units), side, reversal=False)
        return _by_effect(abs(units) if self.layout.direction is DirectionRule.MARK_ALONE else units, side)

    def _two_columns(self, cells: Cells, currency: str, line: int) -> Move | None:
        text_in, text_out = cells.get("amount_in"), cells.get("amount_out")
        if not text_in and not text_out:
            self.findings.add("amount_missing", line=line, field="amount_in")
            return None
        incoming = self._amount(cells, "amount_in", currency, line)
        outgoing = self._amount(cells, "amount_out", currency, line)
        if incoming is None or outgoing is None:
            return None
        if incoming and outgoing:
            self.findings.add("both_columns", line=line, field="amount_in")
            return None
        return self._of_two(incoming, outgoing, only_out=bool(text_out and not text_in))

    def _of_two(self, incoming: int, outgoing: int, *, only_out: bool) -> Move:
        if outgoing or only_out:
            return _by_effect(-outgoing if self.layout.direction is DirectionRule.SIGNED_COLUMNS else outgoing, Direction.OUT)
        return _by_effect(incoming, Direction.IN)

    # -- of many rows at once ----------------------------------------------------------------------------------------

    def _signed_ones(self, figures: Figures, _marks: Marks | None, _count: int) -> MoveColumns | None:
        units = figures.get("amount")
        if units is None or None in units:
            return None
        below, above = (_OUT.value, _IN.value) if self.layout.direction is _SIGNED else (_IN.value, _OUT.value)
        return (
            [abs(each) for each in units if each is not None],
            [below if each and each < 0 else above for each in units],
            (False,),
        )

    def _marked_ones(self, figures: Figures, marks: Marks | None, count: int) -> MoveColumns | None:
        units = figures.get("amount")
        marks = marks or [None] * count
        sides = {mark: self._side_of(mark or "") for mark in set(marks)}
        if units is None or None in units or None in sides.values():
            return None
        return _columns_of(self._marked_one(each or 0, sides[mark] or _IN) for each, mark in zip(units, marks, strict=True))

    def _of_two_columns(self, figures: Figures, _marks: Marks | None, count: int) -> MoveColumns | None:
        nothing: list[int | None] = [None] * count
        pairs = list(zip(figures.get("amount_in", nothing), figures.get("amount_out", nothing), strict=True))
        if any(bool(incoming) == bool(outgoing) for incoming, outgoing in pairs):
            return None  # none, both, or a zero
        return _columns_of(self._of_two(incoming or 0, outgoing or 0, only_out=False) for incoming, outgoing in pairs)

    def _net(self, cells: Cells, currency: str, line: int) -> Move | None:
        """What came in less what went back less the fee. A channel takes its fee from a payment and returns it with a refund:
        negative fees are such returns, refunds are written without sign.
        """
        incoming = self._required(cells, "amount_in", currency, line)
        outgoing = self._amount(cells, "amount_out", currency, line)
        fee = self._amount(cells, "fee", currency, line)
        if incoming is None or outgoing is None or fee is None:
            return None
        for name, units in (("amount_in", incoming), ("amount_out", abs(outgoing)), ("fee", fee)):
            self.sums[name] += units
        net = incoming - abs(outgoing) - fee
        return Move(abs(net), Direction.OUT if net < 0 else Direction.IN, reversal=False)


def _columns_of(moves: Iterable[Move]) -> MoveColumns:
    units, directions, reversals = zip(*moves, strict=True)
    return list(units), [direction.value for direction in directions], reversals if any(reversals) else (False,)


def _by_effect(units: int, side: Direction) -> Move:
    """A negative amount is a reversal (红字): it stands on ``side`` but moves the money the other way."""
    if units >= 0:
        return Move(units, side, reversal=False)
    return Move(-units, Direction.OUT if side is Direction.IN else Direction.IN, reversal=True)
