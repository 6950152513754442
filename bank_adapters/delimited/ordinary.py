"""Ordinary rows of a large table by column: a block of lines becomes columns, and each column is read as a whole.

A block is ordinary when nothing in it can become a finding and every row stands in one line. A block that is not is halved, down
to a few rows, which ``table`` reads one by one; both say the same of ordinary rows (``tests/bank_adapters/test_lanes.py``).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from datetime import date
from itertools import repeat
from typing import TYPE_CHECKING, Any

from bank_adapters.amounts import AmountUnreadable, exponent_or_two, parse_point_amount
from bank_adapters.dates import DateUnreadable, read_date, read_time
from bank_adapters.delimited.cells import DASH_MARKS, DASHES, SPOILED_NUMBER, kept_cell
from bank_adapters.delimited.rows import Row
from bank_adapters.model import Direction
from bank_adapters.packing import PackedColumns, later_references
from bank_adapters.profile import Quoting
from bank_adapters.text_lines import Lines

if TYPE_CHECKING:
    from bank_adapters.delimited.table import TableReader

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
_AMOUNTS = re.compile(r"(?:[+-]?[0-9]{1,15}\.[0-9]{2}\n)*+", re.ASCII)
_GROUPED = re.compile(r"(?:[+-]?(?:[0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})\.[0-9]{2}\n)*+", re.ASCII)
_ONLY_DASHES = tuple(f"\n-{mark}" for mark in (*DASH_MARKS, "\n"))  # how a cell of nothing but dashes may begin
_WIDE_DASHES = tuple(mark for mark in DASH_MARKS if mark != "-")

Column = Sequence[str | None]
Moment = tuple[int, tuple[Any, ...] | None]


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
            and all(start[:1] not in _DIGITS and start for start, _ in reader.footers)
            and (reader.summary_start is None or reader.summary_start[:1] not in _DIGITS)
        )
        self.last: Row | None = None  # of those taken
        self._ends: list[int] = []  # last lines of the blocks to try, the nearest last
        self._fruitless = self._passed = 0  # blocks without an ordinary row, and how many were not even tried since
        self._fruit = True
        self._moments: dict[tuple[str | None, str | None], Moment] = {}

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
            block = lines.whole()
            if not ends:
                if len(block) < self.shortest or self._passes():
                    return lines.number + max(len(block), 1)
                ends.append(lines.number + len(block))
            count = ends[-1] - lines.number
            if self._read(block[:count]):
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

    def _read(self, block: list[str]) -> bool:
        """Read the block's rows, all or none."""
        try:
            columns = self._columns(block)
        except _NotOrdinary:
            return False
        self.reader.draft.lines.append_columns(len(block), columns)
        self.reader.order.follow_columns(len(block), columns)
        return True

    # -- cells -------------------------------------------------------------------------------------------------------

    def _cells(self, block: list[str]) -> tuple[list[Sequence[str]], list[str]]:
        """The cells by column, and the text of each row."""
        text, width, mark = "\n".join(block), self.reader.width, self.delimiter
        if max(map(len, block)) > csv.field_size_limit():
            raise _NotOrdinary
        if '"' not in text:
            # a mark before every line end but the last puts it in front of a cell: of the first in every row when rows are whole
            cells = text.replace("\n", f"{mark}\n").split(mark)
            columns: list[Sequence[str]] = [cells[index::width] for index in range(width)]
            first = "".join(columns[0])
            if len(cells) != len(block) * width or first.count("\n") != len(block) - 1:
                raise _NotOrdinary
            columns[0] = first.split("\n")
            return columns, block
        try:  # were a quotation still open behind the last row, the empty line would belong to it
            *rows, behind = csv.reader([*block, ""], delimiter=mark, strict=self.reader.layout.quoting is Quoting.STRICT)
        except csv.Error:
            raise _NotOrdinary from None
        if len(rows) != len(block) or behind or set(map(len, rows)) != {width}:
            raise _NotOrdinary
        return list(zip(*rows, strict=True)), [mark.join(row) for row in rows]

    def _field(self, name: str, cells: list[Sequence[str]]) -> Column | None:
        """The values of a field, None for empty ones; no column when the table has none or all are empty."""
        found: Column | None = None
        for index, is_text in self.reader.places.get(name, ()):
            column = self._values(cells[index], name, is_text=is_text)
            if column is not None:
                found = column if found is None else [one or other for one, other in zip(found, column, strict=True)]
        return found

    def _values(self, cells: Sequence[str], name: str, *, is_text: bool) -> Column | None:
        stripped: Column = list(map(str.strip, cells))
        lines = "\n" + "\n".join(stripped) + "\n"  # type: ignore[arg-type]  # none is None
        if len(lines) == len(cells) + 1:
            return None
        empty = self.reader.empty
        if "'" in lines or (empty and not empty.isdisjoint(stripped)) or _may_be_dashes(lines):
            stripped = [kept_cell(cell or "", name, empty) for cell in stripped]
        elif "\n\n" in lines:
            stripped = [cell or None for cell in stripped]
        if is_text and ("e" in lines or "E" in lines) and any(cell and SPOILED_NUMBER.fullmatch(cell) for cell in stripped):
            raise _NotOrdinary
        return stripped

    # -- columns -----------------------------------------------------------------------------------------------------

    def _columns(self, block: list[str]) -> PackedColumns:
        reader, count = self.reader, len(block)
        cells, sources = self._cells(block)
        last = Row(self.lines.number + count, tuple(column[-1] for column in cells))
        if (reader.footers or reader.summary_start) and not _DIGITS.issuperset([cell[:1] for cell in cells[0]]):
            raise _NotOrdinary  # a footer may begin so
        fields = {name: column for name in reader.places if (column := self._field(name, cells)) is not None}
        if "reversal_mark" in fields:
            raise _NotOrdinary
        get: Callable[..., Any] = fields.get
        nothing: Column = (None,)
        currency = self._currency(get("currency"))
        for sign in reader.moves.signs:
            if any(sign in (cell or "") for name in _SIGNED_FIELDS for cell in get(name, ())):
                raise _NotOrdinary
        figures = {name: self._units(fields[name], currency) for name in _FIGURES if name in fields}
        moved = reader.moves.read_columns(figures, get("mark"), count) if reader.moves.read_columns else None
        if moved is None:
            raise _NotOrdinary
        units, direction, reversal = moved
        if 0 in units:
            raise _NotOrdinary
        moments = self._read_moments(get(reader.moment_field), get("booking_time"))
        values = get("value_date")
        balances = figures.get("running_balance")
        description = self._description(cells, count)
        status: Sequence[str] = ("BOOKED",)
        if "status" in fields or _NONE in direction:
            texts = fields.get("status") or [None] * count
            status = [reader.status(text, way) for text, way in zip(texts, direction, strict=True)]
        bank, end_to_end = (get(name) or nothing for name in ("bank_reference", "end_to_end_reference"))
        references = later_references(*(fields[name] for name in ("reference",) if name in fields))
        number = self.lines.number
        booking_dates, instants = zip(*moments, strict=True)
        self.last = last
        return (
            booking_dates,
            nothing if values is None else self._read_days(values),
            direction, units, (currency,), status, list(range(number + 1, number + count + 1)), bank, end_to_end, references,
            get("counterparty_name") or nothing, get("counterparty_account") or nothing,
            description, reversal, get("transaction_code") or nothing, balances or nothing,
            nothing if balances is None else (currency,) if None not in balances
            else [None if each is None else currency for each in balances],
            instants, sources, nothing,
        )  # fmt: skip

    def _currency(self, texts: Column | None) -> str:
        """The one currency of the block."""
        current = self.reader.currency
        codes = {current.code if text is None else current.code_of(text) for text in set(texts or (None,))}
        code = codes.pop()
        if codes or code is None:
            raise _NotOrdinary
        return code

    def _units(self, texts: Column, currency: str) -> list[int | None]:
        """Minor units with their sign; None for an empty cell."""
        exponent, grouped = exponent_or_two(currency), self.reader.layout.thousands == ","
        if exponent == _USUAL_EXPONENT and None not in texts:
            lines = "\n".join(texts) + "\n"  # type: ignore[arg-type]  # none is None
            if _AMOUNTS.fullmatch(lines):
                return list(map(int, lines.replace(".", "").split()))
            if grouped and _GROUPED.fullmatch(lines):
                return list(map(int, lines.replace(".", "").replace(",", "").split()))
        try:
            return [None if text is None else parse_point_amount(text, exponent, grouped=grouped) for text in texts]
        except AmountUnreadable:
            raise _NotOrdinary from None

    def _read_days(self, texts: Column) -> list[int | None]:
        known = {text: text and self._day(text).toordinal() for text in set(texts)}
        return [known[text] for text in texts]  # type: ignore[misc]  # no text is empty

    def _day(self, text: str) -> date:
        try:
            read = read_date(text, self.reader.formats)
        except DateUnreadable:
            raise _NotOrdinary from None
        if read.clamped:
            raise _NotOrdinary
        return read.day

    def _read_moments(self, days: Column | None, times: Column | None) -> list[Moment]:
        """Booking date and instant of each row."""
        if days is None:
            raise _NotOrdinary
        known = self._moments
        try:
            return list(map(known.__getitem__, zip(days, times or repeat(None), strict=times is not None)))
        except KeyError:
            if len(known) > _MOST_REMEMBERED:
                known.clear()
        pairs = list(zip(days, times or repeat(None), strict=times is not None))
        for pair in set(pairs).difference(known):
            known[pair] = self._moment(*pair)
        return [known[pair] for pair in pairs]

    def _moment(self, day_text: str | None, time_text: str | None) -> Moment:
        if day_text is None:
            raise _NotOrdinary
        time_text = time_text or ""
        if " " in day_text and not time_text.strip():
            day_text, _, time_text = day_text.partition(" ")
        day = self._day(day_text)
        if not time_text.strip():
            return day.toordinal(), None
        try:
            clock = read_time(time_text.strip())
        except DateUnreadable:
            raise _NotOrdinary from None
        instant = (day.year, day.month, day.day, clock.hour, clock.minute, clock.second, 0, 0, self.reader.time_zone)
        return day.toordinal(), instant

    def _description(self, cells: list[Sequence[str]], count: int) -> Column:
        """The cells of all description columns, joined."""
        empty, columns = self.reader.empty, []
        for index in self.reader.descriptions:
            texts = list(map(str.strip, cells[index]))
            lines = "\n" + "\n".join(texts) + "\n"
            if (empty and not empty.isdisjoint(texts)) or _may_be_dashes(lines):
                texts = ["" if text in empty or DASHES.fullmatch(text) else text for text in texts]
            columns.append(texts)
        if len(columns) == 1:
            return columns[0] if "" not in columns[0] else [text or None for text in columns[0]]
        return [" ".join(filter(None, texts)) or None for texts in zip(*columns, strict=True)] if columns else [None] * count


def _may_be_dashes(lines: str) -> bool:
    """Whether a cell may consist of dashes; every cell stands between line ends."""
    return any(mark in lines for mark in _WIDE_DASHES) or ("\n-" in lines and any(each in lines for each in _ONLY_DASHES))
