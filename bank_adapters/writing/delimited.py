"""Delimited statements as a table profile describes them: preamble, header, rows, footer.

Everything the profile has a column or label for is carried; a value it has no place for is left out, as the bank would.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from bank_adapters.model import Direction, Statement, StatementLine
from bank_adapters.profile import ColumnField, DirectionRule, Fact, FooterTotals, LabelledFact, Profile, TableLayout
from bank_adapters.writing.refusal import WritingRefused, closed_statement, single_line
from money import Money
from money.amount import exponent_of, format_minor_units

_DATE_WRITERS = {
    "YYYY-MM-DD": "%Y-%m-%d",
    "YYYY/MM/DD": "%Y/%m/%d",
    "YYYY.MM.DD": "%Y.%m.%d",
    "YYYYMMDD": "%Y%m%d",
    "YYYY年MM月DD日": "%Y年%m月%d日",
    "DD.MM.YYYY": "%d.%m.%Y",
    "DD/MM/YYYY": "%d/%m/%Y",
    "DD-MM-YYYY": "%d-%m-%Y",
    "MM/DD/YYYY": "%m/%d/%Y",
}


def write_delimited(statement: Statement, profile: Profile) -> bytes:
    """The file a bank with this table profile would send. Raises WritingRefused for what the layout cannot carry."""
    layout = profile.table
    if layout is None:
        raise WritingRefused(f"profile {profile.id} describes no table")
    if not layout.usual_marks:
        raise WritingRefused(f"profile {profile.id} writes amounts with other marks than 1,234.56, which are only read")
    closed_statement(statement, profile.id)
    writer_of = _CellWriter(statement, layout)
    text = io.StringIO()
    rows = csv.writer(text, delimiter=layout.delimiter, lineterminator="\r\n")
    if layout.title:
        rows.writerow([layout.title])
    for fact in layout.preamble:
        value = writer_of.fact(fact)
        if value:
            rows.writerow([fact.label, value])
    rows.writerow([column.name for column in layout.columns])
    lines = statement.lines_in_booking_order
    for line in reversed(lines) if layout.newest_first else lines:
        rows.writerow([writer_of.cell(line, column.field) for column in layout.columns])
    for footer in layout.footers:
        if footer.totals is FooterTotals.LABELLED:
            rows.writerow([footer.starts_with, *(f"{fact.label}：{writer_of.fact(fact)}" for fact in footer.facts)])
    encoding = profile.encodings[0] if profile.encodings else "utf-8"
    return text.getvalue().encode("utf-8-sig" if layout.write_bom else encoding)


class _CellWriter:
    """Renders facts and lines of one statement in the layout's dates and amounts."""

    def __init__(self, statement: Statement, layout: TableLayout) -> None:
        self.statement = statement
        self.layout = layout
        self.zone = ZoneInfo(layout.time_zone)
        self.date_format = _DATE_WRITERS[layout.date_formats[0]]
        self.empty = layout.empty_cells[0] if layout.empty_cells else ""
        self.by_field: dict[ColumnField, Callable[[StatementLine], str]] = {
            ColumnField.BOOKING_DATE: lambda line: self._date(line.booking_date),
            ColumnField.BOOKING_TIME: self._booking_time,
            ColumnField.BOOKED_AT: lambda line: f"{self._date(line.booking_date)} {self._booking_time(line)}".rstrip(),
            ColumnField.VALUE_DATE: lambda line: self._date(line.value_date),
            ColumnField.AMOUNT: lambda line: self._amount(self._amount_in_cell(line)),
            ColumnField.AMOUNT_IN: lambda line: self._side(line, Direction.IN),
            ColumnField.AMOUNT_OUT: lambda line: self._side(line, Direction.OUT),
            ColumnField.MARK: self._mark,
            ColumnField.REVERSAL_MARK: lambda line: layout.reversal_marks[0] if line.reversal else "",
            ColumnField.CURRENCY: lambda line: line.amount.currency,
            ColumnField.RUNNING_BALANCE: lambda line: self._amount(line.running_balance),
            ColumnField.BANK_REFERENCE: lambda line: single_line(line.bank_reference, "bank reference"),
            ColumnField.END_TO_END_REFERENCE: lambda line: single_line(line.end_to_end_reference, "end-to-end reference"),
            ColumnField.COUNTERPARTY_NAME: lambda line: single_line(line.counterparty_name, "counterparty name"),
            ColumnField.COUNTERPARTY_ACCOUNT: lambda line: single_line(line.counterparty_account, "counterparty account"),
            ColumnField.DESCRIPTION: lambda line: single_line(line.description, "description"),
            ColumnField.TRANSACTION_CODE: lambda line: single_line(line.transaction_code, "transaction code"),
        }

    def cell(self, line: StatementLine, field: ColumnField | None) -> str:
        writer = self.by_field.get(field) if field else None
        text = writer(line) if writer else ""
        if text and (text in self.layout.empty_cells or not text.strip("-\u2014\uff0d") or text.startswith("'")):
            raise WritingRefused(f"{text!r} would be read as an empty or a protected cell")
        return text or self.empty

    def fact(self, fact: LabelledFact) -> str:
        statement = self.statement
        ins = [line.amount.minor_units for line in statement.lines if self._booked_side(line) is Direction.IN]
        outs = [line.amount.minor_units for line in statement.lines if self._booked_side(line) is Direction.OUT]
        if self.layout.direction is not DirectionRule.SIGNED:  # a reversal stands negative on the side it undoes
            signs = {True: -1, False: 1}
            ins, outs = (
                [signs[line.reversal] * line.amount.minor_units for line in statement.lines if self._booked_side(line) is side]
                for side in (Direction.IN, Direction.OUT)
            )
        values: dict[Fact, Callable[[], str]] = {
            Fact.ACCOUNT: lambda: single_line(statement.account, "account"),
            Fact.ACCOUNT_NAME: lambda: single_line(statement.account_name, "account name"),
            Fact.CURRENCY: lambda: statement.currency or "",
            Fact.STATEMENT_ID: lambda: single_line(statement.statement_id, "statement id"),
            Fact.SEQUENCE: lambda: single_line(statement.sequence, "sequence"),
            Fact.OPENING_DATE: lambda: self._date(statement.opening_date),
            Fact.CLOSING_DATE: lambda: self._date(statement.closing_date),
            Fact.OPENING_BALANCE: lambda: self._amount(statement.opening_balance),
            Fact.CLOSING_BALANCE: lambda: self._amount(statement.closing_balance),
            Fact.LINE_COUNT: lambda: str(len(statement.lines)),
            Fact.IN_COUNT: lambda: str(len(ins)),
            Fact.OUT_COUNT: lambda: str(len(outs)),
            Fact.IN_TOTAL: lambda: self._units(sum(ins)),
            Fact.OUT_TOTAL: lambda: self._units(sum(outs)),
        }
        return values[fact.fact]() if fact.fact in values else ""

    def _booked_side(self, line: StatementLine) -> Direction:
        """The side the bank books it on: a reversal stays, negative, on the side of what it undoes (红字)."""
        if line.reversal and self.layout.direction is not DirectionRule.SIGNED:
            return Direction.OUT if line.direction is Direction.IN else Direction.IN
        return line.direction

    def _amount_in_cell(self, line: StatementLine) -> Money:
        if self.layout.direction is DirectionRule.SIGNED:
            if line.reversal and not self.layout.reversal_marks:
                raise WritingRefused("this layout has no way to mark a reversal")
            return line.amount if line.direction is Direction.IN else -line.amount
        return -line.amount if line.reversal else line.amount

    def _mark(self, line: StatementLine) -> str:
        return (self.layout.in_marks if self._booked_side(line) is Direction.IN else self.layout.out_marks)[0]

    def _side(self, line: StatementLine, side: Direction) -> str:
        return self._amount(self._amount_in_cell(line)) if self._booked_side(line) is side else ""

    def _units(self, minor_units: int) -> str:
        exponent = exponent_of(self.statement.currency or self.layout.currency)
        return format_minor_units(minor_units, exponent, grouped=self.layout.write_grouped)

    def _amount(self, amount: Money | None) -> str:
        return "" if amount is None else self._units(amount.minor_units)

    def _date(self, day: object) -> str:
        return format(day, self.date_format) if day else ""

    def _booking_time(self, line: StatementLine) -> str:
        if line.booked_at is None:
            return ""
        local: datetime = line.booked_at.astimezone(self.zone)
        if local.date() != line.booking_date or local.microsecond:
            raise WritingRefused(f"{line.booked_at} is not a whole second of booking date {line.booking_date} in {self.zone}")
        return f"{local:%H:%M:%S}"
