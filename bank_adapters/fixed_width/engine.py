"""The engine of fixed-width formats: records cut by tables of columns, figures with implied decimals, one base reader.

A table of columns is written as in the standards: name -> (first column, last column), both 1-based. A trimmed line is read as
if its blanks were there; columns beyond the width must be blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import chain, islice

from bank_adapters.amounts import AmountTooFine, AmountUnreadable, exponent_or_two, minor_units
from bank_adapters.checks import run_checks
from bank_adapters.dates import DateUnreadable, read_yymmdd
from bank_adapters.draft import StatementDraft
from bank_adapters.findings import Findings
from bank_adapters.model import Direction, LineStatus, Statement, StatementLine
from bank_adapters.mt940.fields import NO_CURRENCY
from bank_adapters.references import reference_set
from money import Money
from money.amount import AmountRefused, exponent_of

Columns = Mapping[str, tuple[int, int]]
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(slots=True)
class Record:
    """One record: its line, its text padded to the width, and the table its columns are cut by."""

    line: int
    text: str
    columns: Columns = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """A column's text without surrounding blanks."""
        first, last = self.columns[name]
        return self.text[first - 1 : last].strip()


def _cut_into_lines(lines: Iterable[str], width: int) -> Iterator[str]:
    """A file whose only line holds many records is cut into them; any other is given as it is."""
    lines = iter(lines)
    blank: list[str] = []
    first = ""
    for line in lines:
        if line.strip(" \x1a"):
            first = line
            break
        blank.append(line)
    if len(first.rstrip(" \x1a")) > 2 * width - 20:
        rest = list(islice(lines, 3))  # blank ones, where the file has but one line
        if not any(line.strip(" \x1a") for line in rest):
            yield from (first[at : at + width] for at in range(0, len(first), width))
            yield from lines
            return
        lines = chain(rest, lines)
    yield from blank
    yield first
    yield from lines


def fixed_records(lines: Iterable[str], width: int, findings: Findings) -> Iterator[Record]:
    """Records of ``width`` columns; a file without any line end is cut into records of that width."""
    for number, raw in enumerate(_cut_into_lines(lines, width), 1):
        line = raw.rstrip(" \t\x1a")
        if not line:
            continue
        if len(line) > width:
            findings.add("record_width", line=number, found=len(line), expected=width, excerpt=line[width:])
            continue
        yield Record(number, line.ljust(width))


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in whole minor units; ``finer`` is its exact text where the currency has fewer decimals than the figure."""

    units: int
    finer: str | None = None


@dataclass(slots=True)
class OpenLine:
    """A movement whose further records may still come."""

    record: Record
    direction: Direction
    units: int
    booking_date: date | None
    value_date: date | None
    bank_reference: str | None = None
    end_to_end_reference: str | None = None
    references: list[str | None] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    name: str | None = None
    account: str | None = None
    code: str | None = None
    reversal: bool = False
    source: list[str] = field(default_factory=list)
    finer: str | None = None


class FixedWidthReader:
    """What the three formats share: the statement being read, its open line, single figures, the end of a statement."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.drafts: list[StatementDraft] = []
        self.draft: StatementDraft | None = None
        self.pending: OpenLine | None = None
        self.line_refused = False  # the movement was refused; its further records are not read, and not remarked again

    def statements(self) -> tuple[Statement, ...]:
        """The statements read, with what the checks say of them."""
        self.findings.statement = None
        if not self.drafts:
            self.findings.add("no_statement", line=1)
        return tuple(draft.finished(accepted=not self.findings.errors_in(index)) for index, draft in enumerate(self.drafts))

    def open(self, record: Record) -> StatementDraft:
        self.findings.statement = len(self.drafts)
        self.draft = StatementDraft(line=record.line)
        return self.draft

    def cut(self, what: str, line: int) -> None:
        """The open statement ends without its closing record."""
        if self.draft is not None:
            self.findings.add("truncated", line=line, reason=f"{what} comes before the closing balance")
            self.finish()

    def finish(self) -> None:
        """Close the open statement and check it."""
        self.flush()
        draft = self.draft
        if draft is None:
            return
        if draft.account is None:
            self.findings.add("account_missing", line=draft.line, field="account")
        if draft.opening_balance is None:
            self.findings.add("opening_missing", line=draft.line, field="opening_balance")
        if draft.closing_balance is None:
            self.findings.add("closing_missing", line=draft.line, field="closing_balance")
        run_checks(draft, self.findings)
        self.drafts.append(draft)
        self.draft = None
        self.findings.statement = None

    def flush(self) -> None:
        """Make the statement line of the open movement."""
        line, self.pending, self.line_refused = self.pending, None, False
        if line is None or self.draft is None:
            return
        if not line.units:
            self.findings.add("amount_zero", line=line.record.line, field="amount")
        description = " ".join(" ".join(line.texts).split()) or None
        self.draft.lines.append(
            StatementLine(
                booking_date=line.booking_date,
                value_date=line.value_date,
                direction=line.direction,
                amount=Money(line.units, self.draft.currency or NO_CURRENCY),
                status=LineStatus.BOOKED,
                line=line.record.line,
                bank_reference=line.bank_reference,
                end_to_end_reference=line.end_to_end_reference,
                references=reference_set((line.bank_reference, line.end_to_end_reference, *line.references), description),
                counterparty_name=line.name,
                counterparty_account=line.account,
                description=description,
                reversal=line.reversal,
                transaction_code=line.code,
                source="\n".join(line.source),
                finer=line.finer,
            )
        )

    # -- single figures ----------------------------------------------------------------------------------------------

    def misplaced(self, record: Record, code: str) -> None:
        self.findings.add("record_order", line=record.line, field=code, record=code, excerpt=record.text)

    def refuse_line(self) -> None:
        self.line_refused = True

    def unknown(self, record: Record) -> None:
        self.findings.add("unknown_content", line=record.line, field=record.text[:2], excerpt=record.text)

    def units(self, digits: str, decimals: int, record: Record, field: str) -> int | None:
        """Digits with ``decimals`` implied ones as minor units of the statement's currency, None when they are none."""
        figure = self.figure(digits, decimals, record, field)
        return None if figure is None or figure.finer else figure.units

    def figure(self, digits: str, decimals: int, record: Record, field: str) -> Figure | None:
        """Digits with ``decimals`` implied ones. A figure finer than a minor unit is an error, and is kept exactly."""
        currency = self.draft.currency if self.draft is not None else None
        if _DIGITS.fullmatch(digits) and len(digits) > decimals:
            whole = len(digits) - decimals
            try:
                return Figure(minor_units(digits[:whole], digits[whole:], exponent_or_two(currency)))
            except AmountTooFine as problem:
                exact = f"{int(digits[:whole])}.{digits[whole:]}"
                self.findings.add("amount_decimals", line=record.line, field=field, excerpt=exact, currency=currency or "?")
                return Figure(problem.units, exact)
            except AmountUnreadable:
                pass
        self.findings.add("amount_unreadable", line=record.line, field=field, excerpt=digits)
        return None

    def day(self, text: str, record: Record, field: str, *, day_first: bool = False) -> date | None:
        """YYMMDD, or DDMMYY where the standard puts the day first."""
        try:
            read = read_yymmdd(text[4:] + text[2:4] + text[:2] if day_first and len(text) == 6 else text)
        except DateUnreadable:
            self.findings.add("date_unreadable", line=record.line, field=field, excerpt=text)
            return None
        if read.clamped:
            self.findings.add("date_clamped", line=record.line, field=field, excerpt=text, date=read.day)
        return read.day

    def count(self, text: str, record: Record, field: str) -> int | None:
        if _DIGITS.fullmatch(text):
            return int(text)
        self.findings.add("field_unreadable", line=record.line, field=field, name=field, excerpt=text)
        return None

    def currency(self, code: str, record: Record) -> str | None:
        try:
            exponent_of(code)
        except AmountRefused:
            self.findings.add("currency_unknown", line=record.line, field="currency", excerpt=code)
            return None
        return code

    def differs(self, record: Record, field: str, found: str, expected: str, code: str = "account_differs") -> None:
        """A record names another account (or bank) than the statement it stands in."""
        if found != expected:
            self.findings.add(code, line=record.line, field=field, found=found, expected=expected)


def signed_money(units: int | None, currency: str | None, *, negative: bool) -> Money | None:
    """A balance, None when it could not be read."""
    return None if units is None else Money(-units if negative else units, currency or NO_CURRENCY)
