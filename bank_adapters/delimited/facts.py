"""What stands above and below a table: labelled facts about the whole statement, and the totals of footers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bank_adapters.amounts import AmountTooFine, AmountUnreadable, exponent_or_two, parse_marked_amount, parse_point_amount
from bank_adapters.dates import YEAR_FIRST, DateUnreadable, read_date
from bank_adapters.delimited.cells import SPOILED_NUMBER
from bank_adapters.delimited.rows import Row
from bank_adapters.draft import Declared, StatementDraft
from bank_adapters.findings import Findings, amount_text
from bank_adapters.model import Severity
from bank_adapters.profile import Fact, Footer, LabelledFact, TableLayout, normalised_label
from money import Money

_CURRENCY_CODE = re.compile(r"[A-Z]{3}", re.ASCII)
_HEAD_COUNT = re.compile(r"共\s*([0-9]{1,9})\s*笔", re.ASCII)
_DATES_IN_TEXT = re.compile(r"[0-9]{4}[-/年]?[0-9]{2}[-/月]?[0-9]{2}日?", re.ASCII)
_DATE_AND_TIME = re.compile(r"(\S{8,11}?)[ T]+[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?", re.ASCII)
_WHOLE = re.compile(r"([0-9]{1,11})(?:\.0+)?", re.ASCII)  # channels write counts as 20.0
_MOST_NAMES = 256  # of currencies are remembered
_COUNTS = {Fact.LINE_COUNT: "line_count", Fact.IN_COUNT: "in_count", Fact.OUT_COUNT: "out_count"}
_TOTALS = {Fact.IN_TOTAL: "in_total", Fact.OUT_TOTAL: "out_total"}
COLUMN_TOTALS = {Fact.GROSS_TOTAL: "amount_in", Fact.REFUND_TOTAL: "amount_out", Fact.FEE_TOTAL: "fee"}
_WORDS = {
    Fact.ACCOUNT: "账号", Fact.ACCOUNT_NAME: "户名", Fact.CURRENCY: "币种", Fact.STATEMENT_ID: "对账单编号",
    Fact.SEQUENCE: "对账单序号", Fact.OPENING_DATE: "起始日期", Fact.CLOSING_DATE: "截止日期", Fact.PERIOD: "日期范围",
    Fact.OPENING_BALANCE: "期初余额", Fact.CLOSING_BALANCE: "期末余额", Fact.LINE_COUNT: "总笔数", Fact.IN_COUNT: "收入笔数",
    Fact.OUT_COUNT: "支出笔数", Fact.IN_TOTAL: "收入合计", Fact.OUT_TOTAL: "支出合计",
    Fact.GROSS_TOTAL: "应结总额", Fact.REFUND_TOTAL: "退款总额",
    Fact.FEE_TOTAL: "手续费总额", Fact.IGNORED: "备注",
}  # fmt: skip


def named(fact: Fact) -> dict[str, Any]:
    """A fact's name for a finding in both languages."""
    return {"name": fact.value.replace("_", " "), "name_zh": _WORDS[fact]}


class Currency:
    """The currency of the table: the layout's until a fact or the first row states another."""

    def __init__(self, layout: TableLayout, findings: Findings) -> None:
        self.code = layout.currency
        self.known = False
        self.findings = findings
        self._codes: dict[str, str | None] = {}  # few names, many rows
        self.names = {normalised_label(name): code for name, code in layout.currency_names}

    def code_of(self, text: str) -> str | None:
        """The currency a cell names, by code or by one of the profile's names, None for neither."""
        if text in self._codes:
            return self._codes[text]
        name = text.strip()
        code = self.names.get(normalised_label(name)) or (name if _CURRENCY_CODE.fullmatch(name) else None)
        if len(self._codes) < _MOST_NAMES:
            self._codes[text] = code
        return code

    def state(self, text: str, line: int) -> None:
        """A fact says the currency."""
        code = self.code_of(text)
        if code is None:
            self.findings.add("currency_unknown", line=line, field="currency", excerpt=text)
            return
        self.code, self.known = code, True


_IDENTIFIERS = frozenset({Fact.ACCOUNT, Fact.STATEMENT_ID, Fact.SEQUENCE})


class Facts:
    """Facts of one table as they are met, and what they mean for the statement once all are known."""

    def __init__(self, layout: TableLayout, findings: Findings, currency: Currency, draft: StatementDraft) -> None:
        self.layout = layout
        self.findings = findings
        self.currency = currency
        self.draft = draft
        self.found: dict[Fact, tuple[str, int]] = {}
        self.head_count: tuple[int, int] | None = None  # rows by a remark above the table, and its line
        self.title = normalised_label(layout.title) if layout.title else None
        self.remarks = tuple(normalised_label(remark) for remark in layout.remarks)
        self.formats = (*layout.date_formats, *YEAR_FIRST)
        self.patterns = {footer.starts_with: re.compile(footer.pattern) for footer in layout.footers if footer.pattern}

    def __contains__(self, fact: Fact) -> bool:
        return fact in self.found

    def preamble(self, rows: list[Row]) -> None:
        """The rows above the table."""
        for row in rows:
            cells = [cell for cell in row.cells if cell.strip()]
            if not cells or (len(cells) == 1 and normalised_label(cells[0]) == self.title):
                continue
            if self.remarks and normalised_label(cells[0]).startswith(self.remarks):
                if counted := _HEAD_COUNT.match(cells[0].strip()):
                    self.head_count = int(counted[1]), row.line
                continue
            self.take(row, self.layout.preamble, Severity.WARNING)
        if Fact.CURRENCY in self.found:
            self.currency.state(*self.found[Fact.CURRENCY])

    def take(self, row: Row, known: tuple[LabelledFact, ...], unknown: Severity) -> None:
        """Every label and value of ``row``."""
        for fact, value in _labelled(row.cells, known):
            if fact is None:
                self.findings.add("unknown_content", line=row.line, excerpt=value, severity=unknown)
            elif fact is not Fact.IGNORED and value.strip():
                self._keep(fact, value, row.line)

    def _keep(self, fact: Fact, text: str, line: int) -> None:
        value = text.strip()
        if value[0] in "[\u3010" and value[-1] in "]\u3011" and value.count(value[0]) == 1:
            value = value[1:-1].strip()
        if fact in self.found and self.found[fact][0] != value:
            self.findings.add("fact_repeated", line=line, field=fact.value, excerpt=value, **named(fact))
        elif value:
            self.found[fact] = (value, line)

    def footer(self, row: Row, footer: Footer) -> None:
        """A footer with labelled facts, or with facts in a sentence."""
        pattern = self.patterns.get(footer.starts_with)
        if pattern is None:
            rest = list(row.cells)
            first = next(index for index, cell in enumerate(rest) if cell.strip())
            if normalised_label(rest[first]) == normalised_label(footer.starts_with):
                rest[first] = ""
            self.take(Row(row.line, tuple(rest)), footer.facts, Severity.ERROR)
            return
        sentence = self.layout.delimiter.join(row.cells)
        found = pattern.search(sentence)
        if found is None:
            self.findings.add(
                "fact_unreadable", line=row.line, field=footer.starts_with, name=footer.starts_with, excerpt=sentence
            )
            return
        for name, value in found.groupdict().items():
            if value:
                self._keep(Fact(name), value, row.line)

    def summary(self, header: Row, row: Row) -> None:
        """The one row of totals under a second header below the table."""
        by_label = {normalised_label(label): fact.fact for fact in self.layout.summary for label in fact.labels}
        for name, value in zip(header.cells, row.cells, strict=False):
            fact = by_label.get(normalised_label(name))
            if fact is None:
                self.findings.add("unknown_content", line=header.line, excerpt=name)
            elif fact is not Fact.IGNORED and value.strip():
                self._keep(fact, value, row.line)

    # -- what the facts mean -----------------------------------------------------------------------------------------

    def interpret(self) -> None:
        """Put the facts into the draft."""
        draft = self.draft
        for fact, (text, line) in self.found.items():
            if fact in _IDENTIFIERS and SPOILED_NUMBER.fullmatch(text):
                self.findings.add("float_reference", line=line, field=fact.value, excerpt=text)
            if fact is Fact.ACCOUNT:
                draft.account = text
            elif fact is Fact.ACCOUNT_NAME:
                draft.account_name = text
            elif fact is Fact.STATEMENT_ID:
                draft.statement_id = text
            elif fact is Fact.SEQUENCE:
                draft.sequence = text
            elif fact is Fact.OPENING_DATE:
                draft.opening_date = self._day(text, line, fact)
            elif fact is Fact.CLOSING_DATE:
                draft.closing_date = self._day(text, line, fact)
            elif fact is Fact.PERIOD:
                self._period(text, line)
            elif fact in _COUNTS:
                self._count(fact, text, line)
            elif fact in (Fact.OPENING_BALANCE, Fact.CLOSING_BALANCE, *_TOTALS):
                self._figure(fact, text, line)

    def _day(self, text: str, line: int, fact: Fact) -> Any:
        if found := _DATE_AND_TIME.fullmatch(text):
            text = found[1]
        try:
            read = read_date(text, self.formats)
        except DateUnreadable:
            self.findings.add("date_unreadable", line=line, field=fact.value, excerpt=text)
            return None
        if read.clamped:
            self.findings.add("date_clamped", line=line, field=fact.value, excerpt=text, date=read.day)
        return read.day

    def _period(self, text: str, line: int) -> None:
        try:
            first, last = (read_date(day, self.formats).day for day in _DATES_IN_TEXT.findall(text))
        except ValueError:  # no date of these, or not two of them
            self.findings.add("fact_unreadable", line=line, field="period", excerpt=text, **named(Fact.PERIOD))
        else:
            self.draft.opening_date, self.draft.closing_date = first, last

    def _count(self, fact: Fact, text: str, line: int) -> None:
        digits = _WHOLE.fullmatch(text.removesuffix("笔").strip())
        if digits is None:
            self.findings.add("fact_unreadable", line=line, field=fact.value, excerpt=text, **named(fact))
            return
        setattr(self.draft.totals, _COUNTS[fact], Declared(int(digits[1]), line))

    def check_head_count(self, rows: int) -> None:
        """Heads of personal wallets count their rows, and say themselves that some are left out: no control total, but told."""
        if self.head_count is not None and rows < self.head_count[0]:
            self.findings.add("head_count", line=self.head_count[1], field="rows", declared=self.head_count[0], found=rows)

    def check_columns(self, sums: Mapping[str, int]) -> None:
        """Declared sums of the columns a net is made of."""
        for fact, column in COLUMN_TOTALS.items():
            if fact not in self.found or column not in sums:
                continue
            text, line = self.found[fact]
            declared = amount_of(text, self.currency.code, self.layout, self.findings, line=line, field=fact.value)
            if declared is not None and abs(declared) != abs(sums[column]):
                self.findings.add(
                    "control_total", line=line, field=fact.value, what=named(fact)["name"], what_zh=named(fact)["name_zh"],
                    declared=text, found=amount_text(sums[column], self.currency.code),
                )  # fmt: skip

    def _figure(self, fact: Fact, text: str, line: int) -> None:
        units = amount_of(text, self.currency.code, self.layout, self.findings, line=line, field=fact.value)
        if units is None:
            return
        draft = self.draft
        if fact is Fact.OPENING_BALANCE:
            draft.opening_balance, draft.opening_line = Money(units, self.currency.code), line
        elif fact is Fact.CLOSING_BALANCE:
            draft.closing_balance, draft.closing_line = Money(units, self.currency.code), line
        else:
            setattr(draft.totals, _TOTALS[fact], Declared(abs(units) if self.layout.report else units, line))


def amount_of(text: str, currency: str, layout: TableLayout, findings: Findings, *, line: int, field: str) -> int | None:
    """Signed minor units of a cell, or None with a finding. A currency sign the layout names may stand before the figure."""
    figure = text.strip()
    for sign in layout.amount_signs:
        if figure.startswith(sign):
            figure = figure[len(sign) :].lstrip()
            break
    try:
        return units_of(figure, currency, layout)
    except AmountTooFine:
        findings.add("amount_decimals", line=line, field=field, excerpt=text, currency=currency)
    except AmountUnreadable:
        findings.add("amount_unreadable", line=line, field=field, excerpt=text)
    return None


def units_of(text: str, currency: str, layout: TableLayout) -> int:
    """Signed minor units of a figure written with the layout's marks. Raises AmountUnreadable."""
    exponent = exponent_or_two(currency)
    if layout.usual_marks:
        return parse_point_amount(text, exponent, grouped=layout.thousands == ",")
    return parse_marked_amount(text, exponent, layout.decimal, layout.thousands)


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
