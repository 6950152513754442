"""A table read by its profile: facts above, one line a row, totals below, then the checks of every statement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bank_adapters.amounts import AmountTooFine, AmountUnreadable, exponent_or_two, parse_point_amount
from bank_adapters.checks import run_checks
from bank_adapters.dates import DateUnreadable, read_date, read_time
from bank_adapters.delimited.claims import Header
from bank_adapters.delimited.rows import Row
from bank_adapters.draft import Declared, StatementDraft, signed
from bank_adapters.findings import Findings
from bank_adapters.model import Direction, LineStatus, Severity, Statement, StatementLine
from bank_adapters.profile import (
    ColumnField,
    DirectionRule,
    Fact,
    Footer,
    FooterTotals,
    LabelledFact,
    TableLayout,
    normalised_label,
)
from bank_adapters.references import reference_set
from money import Money
from money.amount import AmountRefused

_DASH_MARKS = "-\u2014\uff0d"
_DASHES = re.compile(r"[-\u2014\uff0d]+")
_SPOILED_NUMBER = re.compile(r"[0-9](?:\.[0-9]+)?[eE]\+?[0-9]+", re.ASCII)
_DATES_IN_TEXT = re.compile(r"[0-9]{4}[-/年]?[0-9]{2}[-/月]?[0-9]{2}日?", re.ASCII)
_CURRENCY_CODE = re.compile(r"[A-Z]{3}", re.ASCII)
_COUNTS = {Fact.LINE_COUNT: "line_count", Fact.IN_COUNT: "in_count", Fact.OUT_COUNT: "out_count"}
_TOTALS = {Fact.IN_TOTAL: "in_total", Fact.OUT_TOTAL: "out_total"}
_FACT_WORDS = {
    Fact.ACCOUNT: "账号", Fact.ACCOUNT_NAME: "户名", Fact.CURRENCY: "币种", Fact.STATEMENT_ID: "对账单编号",
    Fact.SEQUENCE: "对账单序号", Fact.OPENING_DATE: "起始日期", Fact.CLOSING_DATE: "截止日期", Fact.PERIOD: "日期范围",
    Fact.OPENING_BALANCE: "期初余额", Fact.CLOSING_BALANCE: "期末余额", Fact.LINE_COUNT: "总笔数", Fact.IN_COUNT: "收入笔数",
    Fact.OUT_COUNT: "支出笔数", Fact.IN_TOTAL: "收入合计", Fact.OUT_TOTAL: "支出合计", Fact.IGNORED: "备注",
}  # fmt: skip
_TEXT_FIELDS = {
    ColumnField.BANK_REFERENCE, ColumnField.END_TO_END_REFERENCE, ColumnField.COUNTERPARTY_ACCOUNT, ColumnField.REFERENCE,
}  # fmt: skip


def _named(fact: Fact) -> dict[str, Any]:
    """A fact's name for a finding in both languages."""
    return {"name": fact.value.replace("_", " "), "name_zh": _FACT_WORDS[fact]}


def read_table(
    rows: Iterable[Row], before: list[Row], header_row: Row, header: Header, *, layout: TableLayout,
    findings: Findings, ends_with_line_break: bool,
) -> Statement:  # fmt: skip
    """The one statement of a table: ``before`` the header, then ``rows`` below it."""
    reader = _Reader(header_row, header, layout, findings)
    findings.statement = 0
    reader.preamble(before)
    last: Row | None = None
    for row in rows:
        reader.row(row)
        last = row
    statement = reader.finish(last, ends_with_line_break=ends_with_line_break)
    findings.statement = None
    return statement


class _Reader:
    def __init__(self, header_row: Row, header: Header, layout: TableLayout, findings: Findings) -> None:
        self.layout = layout
        self.findings = findings
        self.draft = StatementDraft(line=header_row.line)
        self.draft.totals.by_booked_side = layout.direction is not DirectionRule.SIGNED
        self.width = len(header.columns)
        self.at: dict[ColumnField, list[int]] = {}
        for index, column in enumerate(header.columns):
            if column is not None and column.field is not None:
                self.at.setdefault(column.field, []).append(index)
        # one walk over a row finds every cell that is used; names are plain text because hashing a member of an enum is slow
        self.plan = [
            (column.field.value, index, column.field in _TEXT_FIELDS)
            for index, column in enumerate(header.columns)
            if column is not None and column.field is not None and column.field is not ColumnField.DESCRIPTION
        ]
        self.descriptions = self.at.get(ColumnField.DESCRIPTION, [])
        self.one_moment = ColumnField.BOOKED_AT in self.at
        self.named_width = max(index for index, column in enumerate(header.columns) if column is not None) + 1
        self.zone = ZoneInfo(layout.time_zone)
        self.currency_names = {normalised_label(name): code for name, code in layout.currency_names}
        self.empty = set(layout.empty_cells)
        self.formats = (*layout.date_formats, "YYYY-MM-DD")
        self.facts: dict[Fact, tuple[str, int]] = {}
        self.footers = [(normalised_label(footer.starts_with), footer) for footer in layout.footers]
        self.footer_seen: set[str] = set()
        self.currency = layout.currency
        self.exponent = exponent_or_two(layout.currency)
        self.currency_known = False
        self.row_errors = 0

    # -- above the table ---------------------------------------------------------------------------------------------

    def preamble(self, rows: list[Row]) -> None:
        title = normalised_label(self.layout.title) if self.layout.title else None
        for row in rows:
            cells = [cell for cell in row.cells if cell.strip()]
            if not cells or (len(cells) == 1 and normalised_label(cells[0]) == title):
                continue
            self._take_facts(row, self.layout.preamble, Severity.WARNING)
        if Fact.CURRENCY in self.facts:
            text, line = self.facts[Fact.CURRENCY]
            self._set_currency(text, line)

    def _set_currency(self, text: str, line: int) -> None:
        code = self._currency_code(text)
        if code is None:
            self.findings.add("currency_unknown", line=line, field="currency", excerpt=text)
            return
        self.currency, self.currency_known = code, True
        self.exponent = exponent_or_two(code)

    def _currency_code(self, text: str) -> str | None:
        text = text.strip()
        if known := self.currency_names.get(normalised_label(text)):
            return known
        return text if _CURRENCY_CODE.fullmatch(text) else None

    def _take_facts(self, row: Row, known: tuple[LabelledFact, ...], unknown: Severity) -> None:
        for fact, value in _labelled(row.cells, known):
            if fact is None:
                self.findings.add("unknown_content", line=row.line, excerpt=value, severity=unknown)
            elif fact is Fact.IGNORED or not value.strip():
                continue
            elif fact in self.facts and self.facts[fact][0] != value.strip():
                self.findings.add("fact_repeated", line=row.line, field=fact.value, excerpt=value, **_named(fact))
            else:
                self.facts[fact] = (value.strip(), row.line)

    # -- rows --------------------------------------------------------------------------------------------------------

    def row(self, row: Row) -> None:
        first = next((cell for cell in row.cells if cell.strip()), None)
        if first is None:
            return
        if self.footers:
            name = normalised_label(first)
            for start, footer in self.footers:
                if name.startswith(start):
                    self._footer(row, footer)
                    return
        if self.footer_seen:
            self.findings.add("after_footer", line=row.line, excerpt=" ".join(row.cells))
            return
        if not self._fits(row):
            return
        line = self._line(row)
        if line is None:
            self.row_errors += 1
        else:
            self.draft.lines.append(line)

    def _fits(self, row: Row) -> bool:
        """Rows as wide as the header. Empty cells beyond it are harmless; short rows only where the bank writes them so."""
        if len(row.cells) > self.width and any(cell.strip() for cell in row.cells[self.width :]):
            self.findings.add("long_row", line=row.line, excerpt=" ".join(row.cells[self.width :]))
            return False
        if len(row.cells) < self.named_width:
            code = "short_row_allowed" if self.layout.short_rows else "short_row"
            self.findings.add(code, line=row.line, found=len(row.cells), expected=self.named_width)
            return self.layout.short_rows
        return True

    def _cells(self, row: Row) -> dict[str, str]:
        """The first non-empty cell of every field; fields where the bank writes a dash or nothing are left out."""
        found: dict[str, str] = {}
        cells, empty = row.cells, self.empty
        for name, index, is_text in self.plan:
            if index >= len(cells) or not (text := cells[index].strip()) or name in found:
                continue
            if text[0] == "'":
                text = text[1:]
            if not text or text in empty or (text[0] in _DASH_MARKS and _DASHES.fullmatch(text)):
                continue
            if is_text and _SPOILED_NUMBER.fullmatch(text):
                self.findings.add("float_reference", line=row.line, field=name, excerpt=text)
            found[name] = text
        return found

    def _line(self, row: Row) -> StatementLine | None:
        cells = self._cells(row)
        get = cells.get
        currency = self._row_currency(get("currency"), row.line)
        booking_date, booked_at = self._booked(cells, row.line)
        value_text = get("value_date")
        value_date = self._read_date(value_text, row.line, "value_date") if value_text else None
        moved = self._amount_and_direction(cells, currency, row.line)
        if moved is None:
            return None
        units, direction, reversal = moved
        if mark := get("reversal_mark"):
            if mark in self.layout.reversal_marks:
                reversal = True
            else:
                self.findings.add("direction_unreadable", line=row.line, field="reversal_mark", excerpt=mark)
        if not units:
            self.findings.add("amount_zero", line=row.line, field="amount")
        description = self._description(row)
        bank_reference, end_to_end = get("bank_reference"), get("end_to_end_reference")
        balance = get("running_balance")
        return StatementLine(
            booking_date=booking_date,
            value_date=value_date,
            direction=direction,
            amount=Money(units, currency),
            status=LineStatus.BOOKED,
            line=row.line,
            bank_reference=bank_reference,
            end_to_end_reference=end_to_end,
            references=reference_set((bank_reference, end_to_end, get("reference")), description),
            counterparty_name=get("counterparty_name"),
            counterparty_account=get("counterparty_account"),
            description=description,
            reversal=reversal,
            transaction_code=get("transaction_code"),
            running_balance=self._running_balance(balance, currency, row.line) if balance else None,
            booked_at=booked_at,
            source=self.layout.delimiter.join(row.cells),
        )

    def _description(self, row: Row) -> str | None:
        """The cells of all description columns, joined."""
        kept = []
        for index in self.descriptions:
            text = row.cells[index].strip() if index < len(row.cells) else ""
            if text and text not in self.empty and (text[0] not in _DASH_MARKS or not _DASHES.fullmatch(text)):
                kept.append(text)
        return " ".join(kept) or None

    def _row_currency(self, text: str | None, line: int) -> str:
        if not text:
            return self.currency
        code = self._currency_code(text)
        if code is None:
            self.findings.add("currency_unknown", line=line, field="currency", excerpt=text)
            return self.currency
        if not self.currency_known and not self.draft.lines:
            self._set_currency(text, line)
        return code

    def _read_date(self, text: str, line: int, field: str) -> date | None:
        try:
            read = read_date(text, self.formats)
        except DateUnreadable:
            self.findings.add("date_unreadable", line=line, field=field, excerpt=text)
            return None
        if read.clamped:
            self.findings.add("date_clamped", line=line, field=field, excerpt=text, date=read.day)
        return read.day

    def _booked(self, cells: dict[str, str], line: int) -> tuple[date | None, datetime | None]:
        """Booking date, and the instant when the bank gives a time."""
        if self.one_moment:
            field = "booked_at"
            day_text, _, time_text = cells.get(field, "").partition(" ")
        else:
            field = "booking_date"
            day_text, time_text = cells.get(field, ""), cells.get("booking_time", "")
        if not day_text:
            self.findings.add("date_missing", line=line, field=field, severity=Severity.ERROR)
            return None, None
        if " " in day_text and not time_text.strip():
            day_text, _, time_text = day_text.partition(" ")
        day = self._read_date(day_text, line, field)
        if day is None or not time_text.strip():
            return day, None
        try:
            clock = read_time(time_text.strip())
        except DateUnreadable:
            self.findings.add("date_unreadable", line=line, field="booking_time", excerpt=time_text)
            return day, None
        return day, datetime.combine(day, clock, self.zone)

    # -- amounts -----------------------------------------------------------------------------------------------------

    def _amount(self, text: str, currency: str, line: int, field: str) -> int | None:
        try:
            return parse_point_amount(text.strip(), exponent_or_two(currency), grouped=self.layout.thousands == ",")
        except AmountTooFine:
            self.findings.add("amount_decimals", line=line, field=field, excerpt=text, currency=currency)
        except AmountUnreadable:
            self.findings.add("amount_unreadable", line=line, field=field, excerpt=text)
        return None

    def _amount_and_direction(self, cells: dict[str, str], currency: str, line: int) -> tuple[int, Direction, bool] | None:
        """Positive minor units, which way the money really moved, and whether it undoes another movement."""
        if self.layout.direction is DirectionRule.TWO_COLUMNS:
            return self._two_columns(cells, currency, line)
        text = cells.get("amount")
        if not text:
            self.findings.add("amount_missing", line=line, field="amount")
            return None
        units = self._amount(text, currency, line, "amount")
        if units is None:
            return None
        if self.layout.direction is DirectionRule.SIGNED:
            return abs(units), Direction.OUT if text.startswith("-") else Direction.IN, False
        mark = cells.get("mark", "")
        if mark in self.layout.in_marks:
            return _by_effect(units, Direction.IN)
        if mark in self.layout.out_marks:
            return _by_effect(units, Direction.OUT)
        self.findings.add("direction_unreadable", line=line, field="mark", excerpt=mark)
        return None

    def _two_columns(self, cells: dict[str, str], currency: str, line: int) -> tuple[int, Direction, bool] | None:
        text_in, text_out = cells.get("amount_in"), cells.get("amount_out")
        if not text_in and not text_out:
            self.findings.add("amount_missing", line=line, field="amount_in")
            return None
        incoming = self._amount(text_in, currency, line, "amount_in") if text_in else 0
        outgoing = self._amount(text_out, currency, line, "amount_out") if text_out else 0
        if incoming is None or outgoing is None:
            return None
        if incoming and outgoing:
            self.findings.add("both_columns", line=line, field="amount_in")
            return None
        if outgoing or (text_out and not text_in):
            return _by_effect(outgoing, Direction.OUT)
        return _by_effect(incoming, Direction.IN)

    def _running_balance(self, text: str, currency: str, line: int) -> Money | None:
        try:
            return Money(parse_point_amount(text, exponent_or_two(currency), grouped=self.layout.thousands == ","), currency)
        except (AmountUnreadable, AmountRefused):
            self.findings.add("running_balance_unreadable", line=line, field="running_balance", excerpt=text)
            return None

    # -- below the table ---------------------------------------------------------------------------------------------

    def _footer(self, row: Row, footer: Footer) -> None:
        if footer.totals is FooterTotals.NONE:
            return
        self.footer_seen.add(footer.starts_with)
        if footer.totals is FooterTotals.LABELLED:
            rest = list(row.cells)
            first = next(index for index, cell in enumerate(rest) if cell.strip())
            if normalised_label(rest[first]) == normalised_label(footer.starts_with):
                rest[first] = ""
            self._take_facts(Row(row.line, tuple(rest)), footer.facts, Severity.ERROR)
            return
        cells = self._cells(row)
        for field, name in (("amount_in", "in_total"), ("amount_out", "out_total")):
            if text := cells.get(field):
                units = self._amount(text, self.currency, row.line, name)
                if units is not None:
                    setattr(self.draft.totals, name, Declared(units, row.line))

    def finish(self, last: Row | None, *, ends_with_line_break: bool) -> Statement:
        layout, draft, findings = self.layout, self.draft, self.findings
        draft.currency = self.currency
        self._interpret_facts()
        for fact in layout.required_facts:
            if fact not in self.facts:
                findings.add("fact_missing", line=draft.line, field=fact.value, **_named(fact))
        if layout.footer_required:
            for footer in layout.footers:
                if footer.totals is not FooterTotals.NONE and footer.starts_with not in self.footer_seen:
                    findings.add("footer_missing", line=last.line if last else draft.line, name=footer.starts_with)
        if last is not None and not ends_with_line_break and len(last.cells) < self.named_width and not self.footer_seen:
            findings.add("truncated", line=last.line, reason="the last row is incomplete and has no line end")
        if draft.account is None and Fact.ACCOUNT not in layout.required_facts:
            findings.add("account_unknown", line=draft.line, field="account")
        self._decide_order()
        run_checks(draft, findings)
        return draft.finished(accepted=not findings.errors_in(0))

    def _interpret_facts(self) -> None:
        draft = self.draft
        for fact, (text, line) in self.facts.items():
            if fact is Fact.ACCOUNT:
                draft.account = text
            elif fact is Fact.ACCOUNT_NAME:
                draft.account_name = text
            elif fact is Fact.STATEMENT_ID:
                draft.statement_id = text
            elif fact is Fact.SEQUENCE:
                draft.sequence = text
            elif fact is Fact.OPENING_DATE:
                draft.opening_date = self._read_date(text, line, fact.value)
            elif fact is Fact.CLOSING_DATE:
                draft.closing_date = self._read_date(text, line, fact.value)
            elif fact is Fact.PERIOD:
                self._period(text, line)
            elif fact in _COUNTS:
                self._count(fact, text, line)
            elif fact in (Fact.OPENING_BALANCE, Fact.CLOSING_BALANCE, *_TOTALS):
                self._figure(fact, text, line)

    def _period(self, text: str, line: int) -> None:
        days = _DATES_IN_TEXT.findall(text)
        if len(days) != 2:
            self.findings.add("fact_unreadable", line=line, field="period", name="period", name_zh="日期范围", excerpt=text)
            return
        formats = ("YYYY-MM-DD", "YYYY/MM/DD", "YYYYMMDD", "YYYY年MM月DD日")
        try:
            self.draft.opening_date, self.draft.closing_date = (read_date(day, formats).day for day in days)
        except DateUnreadable:
            self.findings.add("fact_unreadable", line=line, field="period", name="period", name_zh="日期范围", excerpt=text)

    def _count(self, fact: Fact, text: str, line: int) -> None:
        digits = text.removesuffix("笔").strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) < 12):
            self.findings.add("fact_unreadable", line=line, field=fact.value, excerpt=text, **_named(fact))
            return
        setattr(self.draft.totals, _COUNTS[fact], Declared(int(digits), line))

    def _figure(self, fact: Fact, text: str, line: int) -> None:
        units = self._amount(text, self.currency, line, fact.value)
        if units is None:
            return
        draft = self.draft
        if fact is Fact.OPENING_BALANCE:
            draft.opening_balance, draft.opening_line = Money(units, self.currency), line
        elif fact is Fact.CLOSING_BALANCE:
            draft.closing_balance, draft.closing_line = Money(units, self.currency), line
        else:
            setattr(draft.totals, _TOTALS[fact], Declared(units, line))

    def _decide_order(self) -> None:
        """Oldest first or newest first: whichever the running balances chain in; then what the ends of the chain tell."""
        draft, lines = self.draft, self.draft.lines
        chained = bool(lines) and all(line.running_balance is not None for line in lines) and not self.row_errors
        forwards = backwards = 0
        if chained:
            balances = [line.running_balance.minor_units for line in lines if line.running_balance is not None]
            moves = [signed(line) for line in lines]
            forwards = sum(balances[n] != balances[n - 1] + moves[n] for n in range(1, len(lines)))
            backwards = sum(balances[n - 1] != balances[n] + moves[n - 1] for n in range(1, len(lines)))
        by_dates = self._newest_first_by_dates()
        if chained and forwards != backwards:
            draft.newest_first = backwards < forwards
        else:
            draft.newest_first = self.layout.newest_first if by_dates is None else by_dates
            if chained and forwards and by_dates is None:
                self.findings.add("order_undecided", line=lines[0].line, field="running_balance")
        intact = chained and not min(forwards, backwards)
        ordered = lines[::-1] if draft.newest_first else lines
        derived = False
        if intact and (first := ordered[0]).running_balance is not None and draft.opening_balance is None:
            draft.opening_balance = Money(first.running_balance.minor_units - signed(first), first.amount.currency)
            draft.opening_date = draft.opening_date or first.booking_date
            derived = True
        if intact and draft.closing_balance is None and (last := ordered[-1]).running_balance is not None:
            draft.closing_balance, draft.closing_line = last.running_balance, last.line
            draft.closing_date = draft.closing_date or last.booking_date
            derived = True
        if derived:
            self.findings.add("balance_derived", line=draft.line, field="running_balance")
        if draft.opening_balance is None:
            self.findings.add("opening_missing", line=draft.line, field="opening_balance")
        if draft.closing_balance is None:
            self.findings.add("closing_missing", line=draft.line, field="closing_balance")

    def _newest_first_by_dates(self) -> bool | None:
        """What the first and last moments say of the order, None when they say nothing."""
        moments = [(line.booking_date, line.booked_at) for line in self.draft.lines if line.booking_date]
        if not moments:
            return None
        (first, first_at), (last, last_at) = moments[0], moments[-1]
        if first != last and first is not None and last is not None:
            return first > last
        if first_at is not None and last_at is not None and first_at != last_at:
            return first_at > last_at
        return None


def _by_effect(units: int, side: Direction) -> tuple[int, Direction, bool]:
    """A negative amount is a reversal (红字): it stands on ``side`` but moves the money the other way."""
    if units >= 0:
        return units, side, False
    return -units, Direction.OUT if side is Direction.IN else Direction.IN, True


def _labelled(cells: tuple[str, ...], known: tuple[LabelledFact, ...]) -> Iterator[tuple[Fact | None, str]]:
    """Label and value pairs of a row: ``label：value`` in one cell, or label and value in neighbouring cells."""
    by_label = {normalised_label(label): fact.fact for fact in known for label in fact.labels}
    index = 0
    while index < len(cells):
        cell = cells[index].strip()
        index += 1
        if not cell:
            continue
        value: str | None = None
        fact = by_label.get(normalised_label(cell))
        if fact is None:
            parts = re.split("[:\uff1a]", cell, maxsplit=1)
            fact = by_label.get(normalised_label(parts[0])) if len(parts) > 1 else None
            value = parts[1].strip() if len(parts) > 1 else None
        if fact is None:
            yield None, cell
            continue
        if not value and index < len(cells):
            value = cells[index]
            index += 1
        yield fact, value or ""
