"""Reports as XLSX workbooks: typed cells, no formulas, written row by row so that a journal of millions needs no memory.

A number in a workbook is read as an IEEE double, which keeps 15 digits. Amounts of up to 15 digits (9,999,999,999,999.99) are
number cells whose decimal text is written exactly; longer ones are text cells, and the sheet says how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from calendars import BUSINESS_TIME_ZONE
from money import Money, exponent_of
from reports.report_table import Cell, Column, ColumnType, Language, ReportTable, cell_as_text
from reports.tabular import whole_file

#: Rows of a sheet, headings included (ECMA-376 leaves it open; Excel's own limit).
ROWS_OF_A_SHEET = 1_048_576
#: Digits a spreadsheet keeps of a number.
DIGITS_KEPT = 15
#: UTF-16 units a cell holds.
_LONGEST_TEXT = 32_767
_WIDTHS = {
    ColumnType.TEXT: 22,
    ColumnType.INTEGER: 12,
    ColumnType.MONEY: 20,
    ColumnType.DATE: 12,
    ColumnType.INSTANT: 20,
}
_WORDS = {
    "continued": {"en": "continues on sheet {}", "zh": "续见工作表 {}"},
    "as_text": {
        "en": "{} numbers have more than 15 digits and stand as text, because a spreadsheet would round them",
        "zh": "{} 个数字超过 15 位，电子表格会将其舍入，故以文本存放",
    },
    "cut": {
        "en": "{} texts are longer than a cell holds and end in …; the CSV file has them whole",
        "zh": "{} 段文字超过单元格上限，以 … 结尾；全文见 CSV 文件",
    },
    "instants": {"en": "times are Shanghai time", "zh": "时间均为北京时间"},
}


@dataclass(frozen=True, slots=True)
class Written:
    """What a workbook holds of one report: its sheets in order, and its rows over all of them."""

    sheets: tuple[str, ...]
    rows: int


def write_workbook(
    path: Path, tables: Iterable[ReportTable], *, language: Language = "en", rows_of_a_sheet: int = ROWS_OF_A_SHEET
) -> list[Written]:
    """Write a workbook, whole or not at all, with the sheets of each report in order; what was written for each.

    A report with more rows than a sheet holds goes on on further sheets; each says where it continues.
    """
    import xlsxwriter

    with whole_file(path) as unfinished:
        book = xlsxwriter.Workbook(
            str(unfinished),
            {"constant_memory": True, "strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False},
        )
        formats = _Formats(book)
        try:
            written = [_Report(book, formats, table, language, rows_of_a_sheet).write() for table in tables]
        finally:
            # Also what is given up must be closed: the rows of an unfinished workbook stand in temporary files.
            book.close()
    return written


class _Formats:
    """The cell formats of a workbook; one for money of each number of decimals."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.label = book.add_format({"font_color": "#595959"})
        self.header = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self.number_header = book.add_format({"bold": True, "bottom": 1, "align": "right", "text_wrap": True, "valign": "top"})
        self.long_number = book.add_format({"align": "right"})
        self.date = book.add_format({"num_format": "yyyy-mm-dd", "align": "left"})
        self.instant = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss", "align": "left"})
        self.total = book.add_format({"bold": True})
        self._money: dict[int, Any] = {}

    def money(self, exponent: int) -> Any:
        if exponent not in self._money:
            self._money[exponent] = self._book.add_format({"num_format": "#,##0" + (f".{'0' * exponent}" if exponent else "")})
        return self._money[exponent]


class _Report:
    """Writes one report over as many sheets as it needs. Rows go strictly downwards: what is above is already on disk."""

    def __init__(self, book: Any, formats: _Formats, table: ReportTable, language: Language, rows_of_a_sheet: int) -> None:
        self._book = book
        self._formats = formats
        self._table = table
        self._language = language
        self._limit = rows_of_a_sheet
        self._sheets: list[str] = []
        self._sheet: Any = None
        self._row = 0
        self._first_row = 0
        self._as_text = 0
        self._cut = 0

    def write(self) -> Written:
        self._begin_sheet()
        count = 0
        for row in self._table.rows:
            if self._row >= self._limit - 1:
                self._note("continued", self._sheet_name(len(self._sheets) + 1))
                self._begin_sheet()
            self._write_row(row)
            count += 1
        closing = len(self._table.totals) + 3
        if self._row + closing > self._limit:
            self._note("continued", self._sheet_name(len(self._sheets) + 1))
            self._begin_sheet()
        for total in self._table.totals:
            self._write_row(total, self._formats.total)
        if self._as_text:
            self._note("as_text", self._as_text)
        if self._cut:
            self._note("cut", self._cut)
        return Written(tuple(self._sheets), count)

    def _word(self, name: str, *values: object) -> str:
        return _WORDS[name][self._language].format(*values)

    def _note(self, name: str, *values: object) -> None:
        self._sheet.write_string(self._row, 0, self._word(name, *values), self._formats.label)
        self._row += 1

    def _sheet_name(self, part: int) -> str:
        title = self._table.title(self._language)[:24]
        return title if part == 1 else f"{title} ({part})"

    def _begin_sheet(self) -> None:
        name = self._sheet_name(len(self._sheets) + 1)
        self._sheet = self._book.add_worksheet(name)
        self._sheets.append(name)
        columns: Iterable[tuple[int, Column]] = list(enumerate(self._table.columns))
        for place, column in columns:
            self._sheet.set_column(place, place, _WIDTHS[column.type])
        self._sheet.write_string(0, 0, name, self._formats.title)
        self._row = 1
        for fact in self._table.facts:
            self._sheet.write_string(self._row, 0, fact.label(self._language), self._formats.label)
            self._sheet.write_string(self._row, 1, fact.value)
            self._row += 1
        if any(column.type is ColumnType.INSTANT for column in self._table.columns):
            self._note("instants")
        self._row += 1
        for place, column in columns:
            right = column.type in {ColumnType.MONEY, ColumnType.INTEGER}
            self._sheet.write_string(
                self._row, place, column.title(self._language), self._formats.number_header if right else self._formats.header
            )
        self._row += 1
        self._sheet.freeze_panes(self._row, 0)
        self._sheet.repeat_rows(self._row - 1)
        self._sheet.set_landscape()
        self._sheet.fit_to_pages(1, 0)

    def _write_row(self, row: Sequence[Cell], text_format: Any = None) -> None:
        for place, cell in enumerate(row):
            if cell is not None:
                self._write_cell(place, cell, text_format)
        self._row += 1

    def _write_cell(self, place: int, cell: Cell, text_format: Any) -> None:
        match cell:
            case Money():
                exponent = exponent_of(cell.currency)
                self._number(place, cell.minor_units, exponent, self._formats.money(exponent))
            case int():
                self._number(place, cell, 0, None)
            case datetime():
                local = cell.astimezone(BUSINESS_TIME_ZONE).replace(tzinfo=None)
                self._sheet.write_datetime(self._row, place, local, self._formats.instant)
            case date() if cell.year >= 1900:  # a workbook's calendar begins there
                self._sheet.write_datetime(self._row, place, cell, self._formats.date)
            case _:
                self._text(place, cell_as_text(cell), text_format)

    def _number(self, place: int, units: int, exponent: int, shape: Any) -> None:
        exact = Decimal(units).scaleb(-exponent)
        if len(str(abs(units))) <= DIGITS_KEPT:
            self._sheet.write_number(self._row, place, exact, shape)
        else:
            self._as_text += 1
            self._sheet.write_string(self._row, place, f"{exact:,f}", self._formats.long_number)

    def _text(self, place: int, text: str, shape: Any) -> None:
        # A text of half as many characters fits, whatever they are: most are spared the counting.
        if len(text) > _LONGEST_TEXT // 2 and len(text.encode("utf-16-le")) > 2 * _LONGEST_TEXT:
            self._cut += 1
            text = text.encode("utf-16-le")[: 2 * _LONGEST_TEXT - 2].decode("utf-16-le", "ignore") + "…"
        self._sheet.write_string(self._row, place, text, shape)
