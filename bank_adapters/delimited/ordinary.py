"""Ordinary rows of a large table by column: a block of lines becomes columns, and each column is read as a whole.

A block is ordinary when nothing in it can become a finding and every row stands in one line. A block that is not is halved, down
to a few rows, which ``table`` reads one by one; both say the same of ordinary rows (``tests/bank_adapters/test_lanes.py``).
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from bank_adapters.amounts import AmountUnreadable, exponent_or_two, parse_point_amount
from bank_adapters.dates import DateUnreadable, read_date, read_time
from bank_adapters.delimited.cells import DASH_MARKS, DASHES, SPOILED_NUMBER, kept_cell
from bank_adapters.delimited.rows import Row
from bank_adapters.delimited.table import TableReader
from bank_adapters.model import Direction
from bank_adapters.packing import PackedColumns, later_instants, later_references, parted
from bank_adapters.profile import Quoting
from bank_adapters.text_lines import Lines

#: Fewer rows are read one by one.
SHORTEST_BLOCK = 50
_MOST_BLOCKS_PASSED = 16
_MOST_REMEMBERED = 8192
_USUAL_EXPONENT = 2
_NEVER = 1 << 62
_NONE = Direction.NONE.value
_SIGNED_FIELDS = ("amount", "amount_in", "amount_out", "fee")
_FIGURES = (*_SIGNED_FIELDS, "running_balance")
_DIGITS = frozenset("0123456789")
_AMOUNT = r"[+-]?+[0-9]{1,15}+\.[0-9][0-9]"
_GROUPED_AMOUNT = r"[+-]?+[0-9]{1,3}+(?:(?:,[0-9]{3}){1,4}+|[0-9]{0,12}+)\.[0-9][0-9]"
#: Lines of amounts; of amounts or nothing; the same with groups of three.
_AMOUNTS = re.compile(rf"{_AMOUNT}(?:\n{_AMOUNT})*+", re.ASCII)
_AMOUNTS_OR_NONE = re.compile(rf"(?:{_AMOUNT})?+(?:\n(?:{_AMOUNT})?+)*+", re.ASCII)
_GROUPED = re.compile(rf"(?:{_GROUPED_AMOUNT})?+(?:\n(?:{_GROUPED_AMOUNT})?+)*+", re.ASCII)
_WITHOUT_MARKS = str.maketrans("", "", ".,")
_WIDE_DASHES = tuple(mark for mark in DASH_MARKS if mark != "-")

#: Texts by row, None for an empty cell; or the texts of all rows, none empty, parted by line ends.
Column = Sequence[str | None]


class _NotOrdinary(Exception):
    """The block holds something that must be looked at row by row."""


class OrdinaryRows:
    """Takes what is ordinary of the lines behind a table's header out of the way of ``TableReader.row``."""

    def __init__(self, reader: TableReader, lines: Lines, shortest_block: int) -> None:
        self.reader = reader
        self.lines = lines
        self.shortest = shortest_block
        self.delimiter = reader.layout.delimiter
        self.supported = (
            reader.layout.quoting is not Quoting.BACKTICK
            and reader.moves.read_columns is not None
            and len(reader.places.get("status", ())) <= 1
            and all(start[:1] not in _DIGITS and start for start, _ in reader.footers)
            and (reader.summary_start is None or reader.summary_start[:1] not in _DIGITS)
        )
        self.last: Row | None = None  # of those taken
        self._ends: list[int] = []  # last lines of the blocks to try, the nearest last
        self._fruitless = self._passed = 0  # blocks without an ordinary row, and how many were not even tried since
        self._fruit = True
        self._known: defaultdict[Any, dict[Any, int | None]] = defaultdict(dict)  # what texts of few kinds say

    def take(self) -> int:
        """Read ordinary blocks behind the current line. The number of the line up to which rows are to be read one by one."""
        lines, ends, reader = self.lines, self._ends, self.reader
        if not self.supported or reader.at_footer:
            return _NEVER
        if not len(reader.draft.lines):  # the first row may state the currency
            return lines.number + 1
        while True:
            while ends and ends[-1] <= lines.number:
                ends.pop()
            if not ends:
                held = lines.whole()
                if held < self.shortest or self._passes():
                    return lines.number + max(held, 1)
                ends.append(lines.number + held)
            count = ends[-1] - lines.number
            if self._read(count, lines.text_of(count)):
                self._fruit = True
                lines.skip(count)
            elif count >= 2 * self.shortest:
                ends.append(lines.number + count // 2)
            else:
                return ends.pop()

    def _passes(self) -> bool:
        """Whether to let a block pass untried: of files that are ordinary nowhere only few are."""
        if self._fruit:
            self._fruitless = self._passed = 0
        elif self._passed < min(2**self._fruitless, _MOST_BLOCKS_PASSED) - 1:
            self._passed += 1
            return True
        self._fruit, self._passed = False, 0
        self._fruitless += 1
        return False

    def _read(self, count: int, text: str) -> bool:
        """Read the rows of ``count`` lines, all or none."""
        try:
            columns = self._columns(count, text)
        except _NotOrdinary:
            return False
        self.reader.draft.lines.append_columns(count, columns)
        self.reader.order.follow_columns(count, columns)
        return True

    # -- cells -------------------------------------------------------------------------------------------------------

    def _cells(self, count: int, text: str) -> tuple[list[Sequence[str]], Column]:
        """The cells by column, and the text of each row."""
        width, mark = self.reader.width, self.delimiter
        if len(text) > (limit := csv.field_size_limit()) and max(map(len, text.split("\n"))) > limit:
            raise _NotOrdinary
        if '"' not in text:
            # a mark before every line end but the last puts it in front of a cell: of the first in every row when rows are whole
            cells = text.replace("\n", f"{mark}\n").split(mark)
            columns: list[Sequence[str]] = [cells[index::width] for index in range(width)]
            first = "".join(columns[0])
            if len(cells) != count * width or first.count("\n") != count - 1:
                raise _NotOrdinary
            columns[0] = first.split("\n")
            return columns, text
        try:  # were a quotation still open behind the last row, the empty line would belong to it
            strict = self.reader.layout.quoting is Quoting.STRICT
            *rows, behind = csv.reader([*text.split("\n"), ""], delimiter=mark, strict=strict)
        except csv.Error:
            raise _NotOrdinary from None
        if len(rows) != count or behind or set(map(len, rows)) != {width}:
            raise _NotOrdinary
        return list(zip(*rows, strict=True)), "\n".join([mark.join(row) for row in rows])

    def _field(self, name: str, cells: list[Sequence[str]]) -> Column | None:
        """The values of a field; no column when the table has none or all are empty."""
        found: Column | None = None
        for index, is_text in self.reader.places.get(name, ()):
            column = self._values(cells[index], name, is_text=is_text)
            if found is None:
                found = column
            elif column is not None:
                found = [one or other for one, other in zip(parted(found), parted(column), strict=True)]
        return found

    def _by_row(self, name: str, cells: list[Sequence[str]]) -> Sequence[str | None] | None:
        """As ``_field``, always by row."""
        column = self._field(name, cells)
        return None if column is None else parted(column)

    def _values(self, cells: Sequence[str], name: str, *, is_text: bool) -> Column | None:
        if not any(cells):
            return None
        stripped: Sequence[str | None] = list(map(str.strip, cells))
        lines = "\n".join(stripped)  # type: ignore[arg-type]  # none is None
        if len(lines) == len(cells) - 1:
            return None
        if is_text and ("e" in lines or "E" in lines) and any(map(SPOILED_NUMBER.fullmatch, lines.replace("'", "").split("\n"))):
            raise _NotOrdinary
        empty = self.reader.empty
        if "'" in lines or (empty and not empty.isdisjoint(stripped)) or _may_be_dashes(lines):
            return [kept_cell(cell or "", name, empty) for cell in stripped]
        return lines if all(stripped) else [cell or None for cell in stripped]

    def _looked_up(
        self, name: str, cells: list[Sequence[str]], read: Callable[[str | None], int | None]
    ) -> list[int | None] | None:
        """What ``read`` makes of each value of a field, whose texts are few; no column when the table has none."""
        places = self.reader.places.get(name, ())
        if len(places) != 1:
            column = self._by_row(name, cells)
            return None if column is None else _remembered(self._known[name, "field"], column, read)
        return _remembered(
            self._known[name, "cell"], cells[places[0][0]],
            lambda cell: read(kept_cell(cell.strip(), name, self.reader.empty)),
        )  # fmt: skip

    # -- columns -----------------------------------------------------------------------------------------------------

    def _columns(self, count: int, text: str) -> PackedColumns:
        reader = self.reader
        cells, sources = self._cells(count, text)
        last = Row(self.lines.number + count, tuple(column[-1] for column in cells))
        if (reader.footers or reader.summary_start) and not _DIGITS.issuperset([cell[:1] for cell in cells[0]]):
            raise _NotOrdinary  # a footer may begin so
        if self._field("reversal_mark", cells) is not None:
            raise _NotOrdinary
        nothing: Column = (None,)
        currency = self._currency(cells)
        figures = {name: figure for name in _FIGURES if (figure := self._units(name, cells, currency)) is not None}
        moved = reader.moves.read_columns(figures, self._by_row("mark", cells), count) if reader.moves.read_columns else None
        if moved is None:
            raise _NotOrdinary
        units, direction, reversal = moved
        if 0 in units:
            raise _NotOrdinary
        booking_dates, instants = self._moments(cells)
        balances = figures.get("running_balance")
        status: Sequence[str] = ("BOOKED",)
        states = self._by_row("status", cells)
        if states is not None or _NONE in direction:
            status = [reader.status(state, way) for state, way in zip(states or [None] * count, direction, strict=True)]
        reference = self._field("reference", cells)
        number = self.lines.number
        columns: PackedColumns = (
            booking_dates,
            self._looked_up("value_date", cells, self._ordinal) or nothing,
            direction, units, (currency,), status, list(range(number + 1, number + count + 1)),
            self._field("bank_reference", cells) or nothing, self._field("end_to_end_reference", cells) or nothing,
            later_references(*(() if reference is None else (reference,))),
            self._field("counterparty_name", cells) or nothing, self._field("counterparty_account", cells) or nothing,
            self._description(cells), reversal, self._field("transaction_code", cells) or nothing, balances or nothing,
            nothing if balances is None else (currency,) if None not in balances
            else [None if each is None else currency for each in balances],
            instants, sources, nothing,
        )  # fmt: skip
        self.last = last
        return columns

    def _currency(self, cells: list[Sequence[str]]) -> str:
        """The one currency of the block."""
        current, places = self.reader.currency, self.reader.places.get("currency", ())
        texts: set[str | None] = {None}
        if len(places) == 1:
            texts = {kept_cell(cell.strip(), "currency", self.reader.empty) for cell in set(cells[places[0][0]])}
        elif places:
            texts = set(self._by_row("currency", cells) or texts)
        codes = {current.code if text is None else current.code_of(text) for text in texts}
        code = codes.pop()
        if codes or code is None:
            raise _NotOrdinary
        return code

    def _units(self, name: str, cells: list[Sequence[str]], currency: str) -> list[int | None] | None:
        """Minor units with their sign, None for an empty cell; no column when the table has none or all are empty."""
        places = self.reader.places.get(name, ())
        if places and not self.reader.layout.usual_marks:
            raise _NotOrdinary
        exponent, grouped = exponent_or_two(currency), self.reader.layout.thousands == ","
        if len(places) == 1 and exponent == _USUAL_EXPONENT:
            lines = "\n".join(cells[places[0][0]])
            if _AMOUNTS.fullmatch(lines):
                return list(map(int, lines.replace(".", "").split("\n")))
            if (_GROUPED if grouped else _AMOUNTS_OR_NONE).fullmatch(lines):
                units = [int(text) if text else None for text in lines.translate(_WITHOUT_MARKS).split("\n")]
                return None if units.count(None) == len(units) else units
        texts = self._by_row(name, cells)
        if texts is None:
            return None
        if name in _SIGNED_FIELDS and any(sign in (cell or "") for sign in self.reader.moves.signs for cell in texts):
            raise _NotOrdinary
        try:
            return [None if text is None else parse_point_amount(text, exponent, grouped=grouped) for text in texts]
        except AmountUnreadable:
            raise _NotOrdinary from None

    def _ordinal(self, text: str | None) -> int | None:
        return None if text is None else self._day(text).toordinal()

    def _day(self, text: str) -> date:
        try:
            read = read_date(text, self.reader.formats)
        except DateUnreadable:
            raise _NotOrdinary from None
        if read.clamped:
            raise _NotOrdinary
        return read.day

    def _moments(self, cells: list[Sequence[str]]) -> tuple[list[int | None], Sequence[Any]]:
        """Booking dates, and the instants of those with a time."""
        reader = self.reader
        times = None if reader.one_moment else self._looked_up("booking_time", cells, _second)
        places = reader.places.get(reader.moment_field, ())
        if (times is None or times.count(None) == len(times)) and len(places) == 1:
            parts = _halves(cells[places[0][0]])
            if parts is not None:
                days = _remembered(self._known["day"], parts[::2], lambda text: self._ordinal(kept_cell(text.strip(), "", ())))
                times = _remembered(self._known["time"], parts[1::2], lambda text: _second(text.strip() or None))
                return days, later_instants(reader.time_zone, times)
        found = self._looked_up(reader.moment_field, cells, self._ordinal)
        if found is None or None in found:
            raise _NotOrdinary
        return found, (None,) if times is None else later_instants(reader.time_zone, times)

    def _description(self, cells: list[Sequence[str]]) -> Column:
        """The cells of all description columns, joined."""
        empty, columns = self.reader.empty, []
        for index in self.reader.descriptions:
            texts = list(map(str.strip, cells[index]))
            lines = "\n".join(texts)
            if (empty and not empty.isdisjoint(texts)) or _may_be_dashes(lines):
                texts = ["" if text in empty or DASHES.fullmatch(text) else text for text in texts]
            elif len(self.reader.descriptions) == 1 and all(texts):
                return lines
            columns.append(texts)
        return [" ".join(filter(None, texts)) or None for texts in zip(*columns, strict=True)] if columns else (None,)


def _remembered(known: dict[Any, int | None], texts: Sequence[Any], read: Callable[[Any], int | None]) -> list[int | None]:
    """What ``read`` makes of each text, each read once."""
    try:
        return list(map(known.__getitem__, texts))
    except KeyError:
        if len(known) > _MOST_REMEMBERED:
            known.clear()
    for text in set(texts).difference(known):
        known[text] = read(text)
    return list(map(known.__getitem__, texts))


def _second(text: str | None) -> int | None:
    """Seconds since midnight."""
    if text is None or not text.strip():
        return None
    try:
        clock = read_time(text.strip())
    except DateUnreadable:
        raise _NotOrdinary from None
    return clock.hour * 3600 + clock.minute * 60 + clock.second


def _halves(cells: Sequence[str]) -> list[str] | None:
    """Day and time, in turn, of cells that hold one blank between them each; None where some have more or none."""
    lines = "\n".join(cells)
    if lines.count(" ") != len(cells):
        lines = "\n".join(map(str.strip, cells))
        if lines.count(" ") != len(cells):
            return None
    # cells with two and with none would make a day of a time, which nobody can read
    return lines.replace(" ", "\n").split("\n")


def _may_be_dashes(lines: str) -> bool:
    """Whether one of the lines may consist of dashes."""
    if any(mark in lines for mark in _WIDE_DASHES):
        return True
    return "-" in lines and (lines[0] == "-" or "\n-" in lines)
