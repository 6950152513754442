"""QIF: one letter a line, ``^`` ends a record. Currency and order of dates are not in the file: a profile must say them.

The format has no balances and declares no counts, so it closes no day. A record "Opening Balance" is no movement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from bank_adapters.amounts import AmountTooFine, AmountUnreadable, exponent_or_two, parse_decimal_amount, parse_point_amount
from bank_adapters.checks import run_checks
from bank_adapters.dates import PIVOT_YEAR, DateUnreadable, ReadDate, clamped
from bank_adapters.draft import StatementDraft
from bank_adapters.findings import Findings, amount_text
from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.profile import DateOrder, QifLayout
from bank_adapters.references import meaningful, reference_set
from money import Money

_HEAD = re.compile(r"\ufeff?\s*!(?:Type|Account|Option|Clear)\b", re.IGNORECASE)
_OF_MONEY = frozenset({"bank", "ccard", "cash", "oth a", "oth l"})
_DATE = re.compile(r"\s*([0-9]{1,4})\s*[/.\-]\s*([0-9]{1,2})\s*([/.\-'])\s*([0-9]{1,4})\s*", re.ASCII)
_CODES = frozenset("DTUNPMLCASE$%F")  # F: an expense somebody pays back

Field = tuple[str, str, int]  # letter, text, line


def is_qif(head: str) -> bool:
    """Whether the text begins with a QIF header."""
    return bool(_HEAD.match(head))


def read_qif(lines: Iterable[str], findings: Findings, layout: QifLayout) -> tuple[Statement, ...]:
    """One statement for every ``!Type`` of bank, card or cash records."""
    reader = _Reader(findings, layout)
    number = 0
    for number, line in enumerate(lines, 1):
        reader.take(line.rstrip(), number)
    reader.end(number)
    findings.statement = None
    if not reader.drafts:
        findings.add("no_statement", line=1, field="!Type")
    return tuple(draft.finished(accepted=not findings.errors_in(index)) for index, draft in enumerate(reader.drafts))


def read_qif_date(text: str, order: DateOrder) -> ReadDate:
    """``7/16/14``, ``16/7'14``, ``7/ 4' 1``, ``2014-7-16``; an apostrophe means a year from 2000 on. Raises DateUnreadable."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise DateUnreadable(text)
    first, second, mark, third = found[1], found[2], found[3], found[4]
    if len(first) == 4:
        year_text, month, day = first, second, third
    elif order is DateOrder.YMD:
        raise DateUnreadable(text)
    else:
        year_text = third
        month, day = (second, first) if order is DateOrder.DMY else (first, second)
    year = int(year_text)
    if mark == "'" and len(year_text) == 1:  # Quicken pads the years 2000 to 2009 with a blank
        year_text = f"0{year_text}"
    if len(year_text) not in (2, 4) or max(len(month), len(day)) > 2:
        raise DateUnreadable(text)
    if len(year_text) == 2:
        year += 2000 if mark == "'" or year < PIVOT_YEAR else 1900
    return clamped(year, int(month), int(day))


class _Reader:
    def __init__(self, findings: Findings, layout: QifLayout) -> None:
        self.findings = findings
        self.layout = layout
        self.exponent = exponent_or_two(layout.currency)
        self.drafts: list[StatementDraft] = []
        self.draft: StatementDraft | None = None
        self.account: str | None = None
        self.section = ""  # "money", "account" or "other"
        self.record: list[Field] = []

    def take(self, line: str, number: int) -> None:
        """Take one line."""
        if not line.strip():
            return
        if line.startswith("!"):
            self._header(line, number)
        elif not self.section:
            self.findings.add("unknown_content", line=number, excerpt=line)
        elif line[0] == "^":
            self._record_read()
        elif self.section == "money" and line[0] not in _CODES:
            self.findings.add("unknown_content", line=number, field=line[0], excerpt=line)
        else:
            self.record.append((line[0], line[1:].strip(), number))

    def end(self, number: int) -> None:
        """The end of a section or of the file."""
        if self.record:
            self.findings.add("truncated", line=number, field="^", reason="the last record has no ^")
            self._record_read()
        draft, self.draft = self.draft, None
        if draft is not None:
            if draft.account is None:
                self.findings.add("account_unknown", line=draft.line, field="account")
            self.findings.add("report_only", line=draft.line, field="!Type")
            run_checks(draft, self.findings)
            self.drafts.append(draft)
        self.findings.statement = None

    def _header(self, line: str, number: int) -> None:
        name, _, kind = line[1:].partition(":")
        lowered = name.strip().lower()
        if lowered in ("option", "clear"):
            return
        self.end(number)
        if lowered == "account":
            self.section = "account"
        elif lowered == "type" and kind.strip().lower() in _OF_MONEY:
            self.section = "money"
            self.findings.statement = len(self.drafts)
            self.draft = StatementDraft(
                kind=StatementKind.INTRADAY, account=self.account, currency=self.layout.currency, line=number
            )
        else:
            self.section = "other"
            self.findings.add("section_skipped", line=number, field="!Type", excerpt=line)

    def _record_read(self) -> None:
        record, self.record = self.record, []
        if self.section == "account":
            self.account = next((text for letter, text, _ in record if letter == "N" and text), self.account)
        elif self.section == "money" and self.draft is not None and record:
            self._movement(record, self.draft)

    def _movement(self, record: list[Field], draft: StatementDraft) -> None:
        line = record[0][2]
        first = {letter: (text, at) for letter, text, at in reversed(record)}
        units = self._amount(*(first.get("T") or first.get("U") or ("", line)))
        day = self._day(*first.get("D", ("", line)))
        parts = [self._amount(text, at) for letter, text, at in record if letter == "$"]
        if units is None or day is None or None in parts:
            return
        split = sum(part or 0 for part in parts)
        if parts and split != units:
            currency = self.layout.currency
            self.findings.add(
                "control_total", line=line, field="$", what="sum of the splits", what_zh="拆分合计",
                declared=amount_text(units, currency), found=amount_text(split, currency),
            )  # fmt: skip
        payee = first.get("P", ("", 0))[0]
        if payee.lower() == "opening balance" and not draft.lines:
            draft.opening_balance, draft.opening_date, draft.opening_line = Money(units, self.layout.currency), day, line
            return
        if not units:
            self.findings.add("amount_zero", line=line, field="T")
        memo, number = first.get("M", ("", 0))[0], meaningful(first.get("N", ("", 0))[0])
        draft.lines.append(
            StatementLine(
                booking_date=day,
                value_date=None,
                direction=Direction.OUT if units < 0 else Direction.IN,
                amount=Money(abs(units), self.layout.currency),
                status=LineStatus.BOOKED,
                line=line,
                bank_reference=number,
                references=reference_set((number,), memo or payee),
                counterparty_name=payee or None,
                description=memo or payee or None,
                source="\n".join(letter + text for letter, text, _ in record),
            )
        )

    def _amount(self, text: str, line: int) -> int | None:
        if not text:
            self.findings.add("amount_missing", line=line, field="T")
            return None
        try:
            if text.startswith((".", "-.", "+.")):
                return parse_decimal_amount(text, self.exponent)
            return parse_point_amount(text, self.exponent, grouped=True)
        except AmountTooFine:
            self.findings.add("amount_decimals", line=line, field="T", excerpt=text, currency=self.layout.currency)
        except AmountUnreadable:
            self.findings.add("amount_unreadable", line=line, field="T", excerpt=text)
        return None

    def _day(self, text: str, line: int) -> date | None:
        try:
            read = read_qif_date(text, self.layout.date_order)
        except DateUnreadable:
            self.findings.add("date_unreadable", line=line, field="D", excerpt=text)
            return None
        if read.clamped:
            self.findings.add("date_clamped", line=line, field="D", excerpt=text, date=read.day)
        return read.day
