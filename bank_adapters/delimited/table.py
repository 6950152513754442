"""A table's rows read one by one by its profile: one line a row, totals below, then the checks of every statement."""

from __future__ import annotations

from datetime import date
from typing import Any

from bank_adapters.amounts import AmountUnreadable
from bank_adapters.checks import run_checks
from bank_adapters.dates import YEAR_FIRST, DateUnreadable, read_date, read_time
from bank_adapters.delimited.cells import DASH_MARKS, DASHES, SPOILED_NUMBER, kept_cell
from bank_adapters.delimited.claims import Header
from bank_adapters.delimited.facts import Currency, Facts, amount_of, named, units_of
from bank_adapters.delimited.moves import Moves
from bank_adapters.delimited.order import Order
from bank_adapters.delimited.rows import Row
from bank_adapters.draft import Declared, StatementDraft
from bank_adapters.findings import Findings
from bank_adapters.model import Direction, Severity, Statement, StatementKind
from bank_adapters.packing import PackedLine
from bank_adapters.profile import ColumnField, DirectionRule, Fact, Footer, FooterTotals, TableLayout, normalised_label
from bank_adapters.references import reference_set
from money.amount import AmountRefused

_NONE = Direction.NONE
_TEXT_FIELDS = {
    ColumnField.BANK_REFERENCE, ColumnField.END_TO_END_REFERENCE, ColumnField.COUNTERPARTY_ACCOUNT, ColumnField.REFERENCE,
}  # fmt: skip
_SIGNED_RULES = (DirectionRule.SIGNED, DirectionRule.SPENDING, DirectionRule.MARK_ALONE, DirectionRule.NET)


class TableReader:
    """One table while it is read; ``row`` takes each row below the header, ``finish`` gives the statement."""

    def __init__(self, header_row: Row, header: Header, layout: TableLayout, findings: Findings) -> None:
        self.layout = layout
        self.findings = findings
        self.draft = StatementDraft(line=header_row.line)
        self.draft.totals.by_booked_side = layout.direction not in _SIGNED_RULES
        self.currency = Currency(layout, findings)
        self.facts = Facts(layout, findings, self.currency, self.draft)
        self.moves = Moves(layout, findings)
        self.move = self.moves.read
        self.width = len(header.columns)
        held: dict[ColumnField, list[int]] = {}
        for index, column in enumerate(header.columns):
            if column is not None and column.field is not None:
                held.setdefault(column.field, []).append(index)
        # one walk over a row finds every cell that is used; names are plain text because hashing a member of an enum is slow
        self.plan = [
            (column.field.value, index, column.field in _TEXT_FIELDS)
            for index, column in enumerate(header.columns)
            if column is not None and column.field is not None and column.field is not ColumnField.DESCRIPTION
        ]
        self.places: dict[str, list[tuple[int, bool]]] = {}
        for name, index, is_text in self.plan:
            self.places.setdefault(name, []).append((index, is_text))
        self.descriptions = held.get(ColumnField.DESCRIPTION, [])
        self.one_moment = ColumnField.BOOKED_AT in held
        self.moment_field = "booked_at" if self.one_moment else "booking_date"
        self.named_width = max(index for index, column in enumerate(header.columns) if column is not None) + 1
        self.time_zone = layout.time_zone
        self.empty = set(layout.empty_cells)
        # A spreadsheet writes days anew. With the year first there is one way to read them, whatever the bank's own way is.
        self.formats = (*layout.date_formats, *YEAR_FIRST)
        self.footers = [(normalised_label(footer.starts_with), footer) for footer in layout.footers]
        self.footer_seen: set[str] = set()
        self.summary_start = normalised_label(layout.summary[0].label) if layout.summary else None
        self.summary_header: Row | None = None
        self.summary_read = False
        self.row_errors = 0
        self.order = Order()

    @property
    def at_footer(self) -> bool:
        """Whether what stands below the table has begun."""
        return bool(self.footer_seen) or self.summary_header is not None or self.summary_read

    # -- rows --------------------------------------------------------------------------------------------------------

    def row(self, row: Row) -> None:
        cells = row.cells
        first = cells[0] if cells and cells[0].strip() else next((cell for cell in cells if cell.strip()), None)
        if first is None or self._is_below(row, first) or (len(cells) != self.width and not self._fits(row)):
            return
        line = self._line(row)
        if line is None:
            self.row_errors += 1
        else:
            self.draft.lines.append_packed(line)
            self.order.follow(line)

    def _is_below(self, row: Row, first: str) -> bool:
        """Whether the row is a footer, belongs to the summary, or stands behind them (and is then refused)."""
        if self.footers or self.summary_start:
            name = normalised_label(first)
            for start, footer in self.footers:
                if name.startswith(start):
                    self._footer(row, footer)
                    return True
            if self.summary_header is not None and not self.summary_read:
                self.facts.summary(self.summary_header, row)
                self.summary_read = True
                return True
            if name == self.summary_start:
                self.summary_header = row
                return True
        if self.footer_seen or self.summary_read:
            self.findings.add("after_footer", line=row.line, excerpt=" ".join(row.cells))
            return True
        return False

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
            kept = kept_cell(text, name, empty)
            if kept is None:
                continue
            if is_text and ("e" in kept or "E" in kept) and SPOILED_NUMBER.fullmatch(kept):
                self.findings.add("float_reference", line=row.line, field=name, excerpt=kept)
            found[name] = kept
        return found

    def _line(self, row: Row) -> PackedLine | None:
        cells = self._cells(row)
        get = cells.get
        currency = self._row_currency(get("currency"), row.line)
        booking_date, booked_at = self._booked(cells, row.line)
        value_text = get("value_date")
        value_date = self._read_date(value_text, row.line, "value_date") if value_text else None
        moved = self.move(cells, currency, row.line)
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
        text = get("running_balance")
        balance = self._running_balance(text, currency, row.line) if text else None
        return (
            booking_date and booking_date.toordinal(), value_date and value_date.toordinal(), direction._value_, units, currency,
            self.status(self._state(row, get("status")), direction), row.line, bank_reference, end_to_end,
            reference_set((bank_reference, end_to_end, get("reference")), description), get("counterparty_name"),
            get("counterparty_account"), description, reversal, get("transaction_code"),
            balance, None if balance is None else currency, booked_at, self.layout.delimiter.join(row.cells), None,
        )  # fmt: skip

    def _state(self, row: Row, first: str | None) -> str | None:
        """The status that counts, where several columns tell one (the payment's, its refund's): what moved nothing goes first."""
        told = [row.cells[index].strip() for index, _ in self.places.get("status", ())[1:] if index < len(row.cells)]
        return next((text for text in told if text in self.layout.information_statuses), first)

    def status(self, text: str | None, direction: str) -> str:
        """A row that moves nothing, or whose status says so, is information; a status the profile does not name is booked."""
        if direction == _NONE or (text and text in self.layout.information_statuses):
            return "INFORMATION"
        return "PENDING" if text and text in self.layout.pending_statuses else "BOOKED"

    def _description(self, row: Row) -> str | None:
        """The cells of all description columns, joined."""
        kept = []
        for index in self.descriptions:
            text = row.cells[index].strip() if index < len(row.cells) else ""
            if text and text not in self.empty and (text[0] not in DASH_MARKS or not DASHES.fullmatch(text)):
                kept.append(text)
        return " ".join(kept) or None

    def _row_currency(self, text: str | None, line: int) -> str:
        if not text:
            return self.currency.code
        code = self.currency.code_of(text)
        if code is None:
            self.findings.add("currency_unknown", line=line, field="currency", excerpt=text)
            return self.currency.code
        if not self.currency.known and not self.draft.lines:
            self.currency.state(text, line)
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

    def _booked(self, cells: dict[str, str], line: int) -> tuple[date | None, tuple[Any, ...] | None]:
        """Booking date, and the parts of the instant when the bank gives a time."""
        field = self.moment_field
        day_text, time_text = cells.get(field, ""), "" if self.one_moment else cells.get("booking_time", "")
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
        return day, (day.year, day.month, day.day, clock.hour, clock.minute, clock.second, 0, 0, self.time_zone)

    def _running_balance(self, text: str, currency: str, line: int) -> int | None:
        try:
            return units_of(text, currency, self.layout)
        except (AmountUnreadable, AmountRefused):
            self.findings.add("running_balance_unreadable", line=line, field="running_balance", excerpt=text)
            return None

    # -- below the table ---------------------------------------------------------------------------------------------

    def _footer(self, row: Row, footer: Footer) -> None:
        if footer.totals is FooterTotals.NONE:
            return
        self.footer_seen.add(footer.starts_with)
        if footer.totals is not FooterTotals.IN_COLUMNS:
            self.facts.footer(row, footer)
            return
        cells = self._cells(row)
        for field, name in (("amount_in", "in_total"), ("amount_out", "out_total")):
            if text := cells.get(field):
                units = amount_of(text, self.currency.code, self.layout, self.findings, line=row.line, field=name)
                if units is not None:
                    setattr(self.draft.totals, name, Declared(units, row.line))

    def finish(self, last: Row | None, *, ends_with_line_break: bool) -> Statement:
        layout, draft, findings = self.layout, self.draft, self.findings
        draft.currency = self.currency.code
        self.facts.interpret()
        self.facts.check_columns(self.moves.sums)
        self.facts.check_head_count(len(draft.lines))
        for fact in layout.required_facts:
            if fact not in self.facts:
                findings.add("fact_missing", line=draft.line, field=fact.value, **named(fact))
        at_end = last.line if last else draft.line
        if layout.footer_required:
            for footer in layout.footers:
                if footer.totals is not FooterTotals.NONE and footer.starts_with not in self.footer_seen:
                    findings.add("footer_missing", line=at_end, name=footer.starts_with)
            if layout.summary and not self.summary_read:
                findings.add("footer_missing", line=at_end, name=layout.summary[0].label)
        if last is not None and not ends_with_line_break and len(last.cells) < self.named_width and not self.footer_seen:
            findings.add("truncated", line=last.line, reason="the last row is incomplete and has no line end")
        if draft.account is None and Fact.ACCOUNT not in layout.required_facts:
            findings.add("account_unknown", line=draft.line, field="account")
        self.order.decide(draft, findings, newest_first=layout.newest_first, whole=not self.row_errors)
        self._balances()
        run_checks(draft, findings)
        return draft.finished(accepted=not findings.errors_in(0))

    def _balances(self) -> None:
        """A statement has both balances; a report needs none, and closes no day."""
        draft, findings = self.draft, self.findings
        if self.layout.report:
            draft.kind = StatementKind.INTRADAY
            findings.add("report_only", line=draft.line, field="balance")
            return
        if draft.opening_balance is None:
            findings.add("opening_missing", line=draft.line, field="opening_balance")
        if draft.closing_balance is None:
            findings.add("closing_missing", line=draft.line, field="closing_balance")
