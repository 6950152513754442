"""MT940, MT942 and MT950 files: fields assembled into statements, checked at each statement's end.

Rules not in the SWIFT handbook are those banks force on readers; each is told where it is applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

from bank_adapters.amounts import AmountTooFine, AmountUnreadable, exponent_or_two
from bank_adapters.checks import run_checks
from bank_adapters.dates import DateUnreadable, ReadDate
from bank_adapters.draft import Declared, StatementDraft
from bank_adapters.findings import Findings
from bank_adapters.model import Severity, Statement, StatementKind
from bank_adapters.mt940.details import NOTHING, Details, joined, read_details, read_ns
from bank_adapters.mt940.fields import (
    NO_CURRENCY,
    FieldUnreadable,
    LineField,
    read_balance,
    read_count_and_sum,
    read_declared_totals,
    read_floor,
    read_line,
    read_number,
)
from bank_adapters.mt940.ordinary import Ordinary
from bank_adapters.mt940.pages import PageMark, check_pages
from bank_adapters.mt940.scanner import Event, Kind, scan
from bank_adapters.references import reference_set
from bank_adapters.text_lines import Lines
from money import Money

_INTRADAY_TAGS = ("34F", "90D", "90C", "13D")
_UNREADABLE = (FieldUnreadable, AmountUnreadable, DateUnreadable)
_LINE_TAGS = frozenset({"61", "86", "NS"})  # within a statement these open nothing
_FIELD = Kind.FIELD
_DECIMALS = 2  # of the currencies whose ordinary movements are read by column
_IDENTIFIER_CODE = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?", re.ASCII)  # of :25P:, ISO 9362
_IN_BLOCK = re.compile(r"\{4:\s*\Z")


#: Fewer ordinary movements in a row are read one by one.
SHORTEST_RUN = 20


def read_mt940(pieces: Iterable[str], findings: Findings, shortest_run: int = SHORTEST_RUN) -> tuple[str, tuple[Statement, ...]]:
    """Statements of a file's text, given in pieces, and the format's name: mt940 or mt942."""
    reader = _Reader(findings, shortest_run)
    for event in scan(Lines(pieces), reader.take_run):
        reader.take(event)
    reader.finish()
    findings.statement = None
    if not reader.statements:
        findings.add("no_statement", line=1)
    intraday = any(statement.kind is StatementKind.INTRADAY for statement in reader.statements)
    return ("mt942" if intraday else "mt940"), check_pages(reader.statements, reader.marks, findings)


class _Reader:
    """State of one file: the statement being read and those finished."""

    def __init__(self, findings: Findings, shortest_run: int) -> None:
        self.findings = findings
        self.ordinary = Ordinary()
        self.shortest_run = shortest_run
        self.one_by_one_to = 0  # lines up to this one hold a run that is too short
        self.statements: list[Statement] = []
        self.marks: list[PageMark] = []
        self.draft: StatementDraft | None = None
        self.tags: set[str] = set()
        self.pending: tuple[LineField, Event, list[Event]] | None = None  # a :61: waiting for its :86:
        self.ended = False
        self.message_type = ""
        self.block_open_line: int | None = None
        self.opening_interim = self.closing_interim = False
        self.by_tag = {
            "20": self._statement_id, "21": _nothing, "25": self._account, "25P": self._account,
            "28": self._number, "28C": self._number, "60F": self._opening, "60M": self._opening,
            "61": self._line, "62F": self._closing, "62M": self._closing, "86": self._details, "NS": self._details,
            "34F": self._floor, "90D": self._declared, "90C": self._declared, "13": _nothing, "13D": _nothing,
            "64": self._other_balance, "64F": self._other_balance, "65": self._other_balance, "65F": self._other_balance,
        }  # fmt: skip

    # -- events ------------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Take one event of the scanner."""
        if event.kind is _FIELD:
            tag = event.tag
            if tag in _LINE_TAGS and self.draft is not None and not self.ended:
                self.tags.add(tag)
                self.by_tag[tag](event)
                return
            if tag in ("940", "942", "950"):
                self._close_statement()
                self.message_type = tag
                self._unknown_lines(event)
                return
            self._boundary(event)
            if tag not in _LINE_TAGS:
                self._flush_line()
            self.tags.add(tag)
            self.by_tag[tag](event)
        elif event.kind is Kind.END:
            self._flush_line()
            self.block_open_line = None
            self.ended = True
        elif event.kind is Kind.ENVELOPE:
            self._envelope(event)
        else:
            self._flush_line()
            self.findings.add("unknown_content", line=event.line, field=event.tag or None, excerpt=event.content)

    def take_run(self, lines: Lines) -> bool:
        """Take the ordinary movements that begin at the current :61:, where there are enough of them; see ``scan``."""
        draft = self.draft
        if lines.number <= self.one_by_one_to or draft is None or self.ended or not draft.currency:
            return False
        if exponent_or_two(draft.currency) != _DECIMALS:
            return False
        count, taken, columns = self.ordinary.run(*lines.here(), lines.number, draft.currency)
        if count < self.shortest_run:
            self.one_by_one_to = lines.number + taken - 1
            return False
        self._flush_line()
        self.tags |= {"61", "86"}
        draft.lines.append_columns(count, columns)
        lines.skip(taken - 1)
        return True

    def finish(self) -> None:
        """The end of the file."""
        self._flush_line()
        if self.block_open_line is not None and self.draft is not None:
            self.findings.add("no_end_mark", line=self.block_open_line)
        self._close_statement()

    def _envelope(self, event: Event) -> None:
        if not self.ended or event.content.startswith("{1:"):
            self._close_statement()
        content = event.content.strip()
        if found := re.search(r"\{2:[IO](9[0-9]{2})|\A(9[45][0-9])(?: |\Z)", content):
            self.message_type = found[1] or found[2]
        if _IN_BLOCK.search(content):
            self.block_open_line = event.line

    def _boundary(self, event: Event) -> None:
        """Open a statement where one begins: at :20:, or at a header field once the one before has its closing balance."""
        tag = event.tag
        if self.draft is not None:
            complete = self.draft.closing_balance is not None or "62F" in self.tags or "62M" in self.tags or self.ended
            if tag == "20" or (complete and tag in ("25", "25P", "28", "28C", "60F", "60M", "34F") and self._starts_anew(tag)):
                before = self.draft
                self._close_statement()
                self._open(event)
                if tag != "20":  # several :28C: pages under one :20:
                    self._draft.statement_id = before.statement_id
                    if tag not in ("25", "25P"):
                        self._draft.account = before.account
                return
            if self.ended and tag in ("61", "86", "62F", "62M"):
                self.findings.add("field_order", line=event.line, field=tag, tag=f":{tag}:")
                self.ended = False
            return
        self._open(event)

    def _starts_anew(self, tag: str) -> bool:
        """MT942 repeats :34F: within one statement."""
        return tag != "34F" or self.ended

    def _open(self, event: Event) -> None:
        self.draft = StatementDraft(line=event.line)
        self.findings.statement = len(self.statements)
        self.tags = set()
        self.ended = False
        self.opening_interim = self.closing_interim = False

    @property
    def _draft(self) -> StatementDraft:
        if self.draft is None:
            raise RuntimeError("no statement is open")  # _boundary opened one
        return self.draft

    def _unknown_lines(self, event: Event) -> None:
        """Continuation lines of a field that has none."""
        for shift, line in enumerate(event.more, 1):
            if line.strip():
                self.findings.add("unknown_content", line=event.line + shift, field=event.tag, excerpt=line)

    # -- header fields -----------------------------------------------------------------------------------------------

    def _statement_id(self, event: Event) -> None:
        self._draft.statement_id = event.content.strip() or None
        self._unknown_lines(event)

    def _account(self, event: Event) -> None:
        account = event.content.strip()
        if self._draft.account is not None and self._draft.account != account:
            self.findings.add("fact_repeated", line=event.line, field="25", name=":25:", excerpt=account)
        else:
            self._draft.account = account or None
        bank = [line for line in event.more if line.strip()]
        if event.tag != "25P" or len(bank) != 1 or not _IDENTIFIER_CODE.fullmatch(bank[0].strip()):
            self._unknown_lines(event)

    def _number(self, event: Event) -> None:
        content = event.content.strip()
        more = [line.strip() for line in event.more if line.strip()]
        if more and all(re.fullmatch(r"[0-9/]+", line, re.ASCII) for line in more):
            content += "".join(more)  # a number broken over the line's end
            self.findings.add("wrapped_field", line=event.line, field=event.tag, tag=f":{event.tag}:")
        else:
            self._unknown_lines(event)
        try:
            number, page = read_number(content)
        except FieldUnreadable:
            self.findings.add("fact_unreadable", line=event.line, field=event.tag, name=f":{event.tag}:", excerpt=content)
            return
        if self._draft.sequence is not None and self._draft.sequence != number:
            self.findings.add("fact_repeated", line=event.line, field=event.tag, name=f":{event.tag}:", excerpt=content)
            return
        self._draft.sequence, self._draft.page = number, page

    def _floor(self, event: Event) -> None:
        self._unknown_lines(event)
        try:
            currency, units = read_floor(event.content)
        except _UNREADABLE:
            self.findings.add("field_unreadable", line=event.line, field="34F", name=":34F:", excerpt=event.content)
            return
        self._currency(currency, event)
        limit = self._draft.totals.floor_minor_units
        self._draft.totals.floor_minor_units = units if limit is None else min(limit, units)

    def _currency(self, currency: str | None, event: Event) -> None:
        if currency is None:
            return
        if self._draft.currency is None:
            self._draft.currency = currency
        elif self._draft.currency != currency:
            self.findings.add("currency_differs", line=event.line, field=event.tag, found=currency, expected=self._draft.currency)

    def _opening(self, event: Event) -> None:
        draft = self._draft
        if "opening" in self.tags:
            self.findings.add("balance_repeated", line=event.line, field=event.tag, name="opening balance", name_zh="期初余额")
            self._unknown_lines(event)
            return
        balance = self._balance(event, draft.currency)
        self.tags.add("opening")
        self.opening_interim = event.tag == "60M"
        if balance is None:
            return
        amount, currency, day = balance
        if draft.currency is None:
            draft.currency = currency
        draft.opening_balance, draft.opening_date, draft.opening_line = amount, day, event.line
        if draft.lines:
            self.findings.add("field_order", line=event.line, field=event.tag, tag=f":{event.tag}:")

    def _closing(self, event: Event) -> None:
        draft = self._draft
        if draft.closing_balance is not None:
            balance = self._balance(event, draft.currency)
            if balance is None:
                return
            if balance[0].currency != draft.closing_balance.currency:  # a second closing in another currency
                self.findings.add(
                    "balance_other_currency", line=event.line, field=event.tag, name="closing balance", name_zh="期末余额",
                    currency=balance[0].currency,
                )  # fmt: skip
            else:
                names: dict[str, Any] = {"name": "closing balance", "name_zh": "期末余额"}
                self.findings.add("balance_repeated", line=event.line, field=event.tag, **names)
            return
        balance = self._balance(event, draft.currency)
        self.closing_interim = event.tag == "62M"
        if balance is None:
            return
        if draft.currency is None:
            draft.currency = balance[1]
        draft.closing_balance, draft.closing_date, draft.closing_line = balance[0], balance[2], event.line

    def _balance(self, event: Event, currency: str | None) -> tuple[Money, str | None, date] | None:
        """A balance field read, or None with a finding."""
        content = event.content.strip()
        rest = [line for line in event.more if line.strip()]
        try:
            read = read_balance(content, currency)
        except _UNREADABLE:
            try:
                read = read_balance(content + "".join(line.strip() for line in rest), currency)
            except AmountTooFine:
                self.findings.add("amount_decimals", line=event.line, field=event.tag, excerpt=content, currency=currency or "?")
                return None
            except _UNREADABLE:
                code = "amount_unreadable" if event.tag[:2] in ("60", "62") else "field_unreadable"
                self.findings.add(code, line=event.line, field=event.tag, excerpt=content, name=f":{event.tag}:")
                self._unknown_lines(event)
                return None
            self.findings.add("wrapped_field", line=event.line, field=event.tag, tag=f":{event.tag}:")
        else:
            self._unknown_lines(event)
        return read.amount, read.currency, self._day(read.read_date, event, content[1:7])

    def _other_balance(self, event: Event) -> None:
        """Available and forward balances decide nothing: an unreadable one (a bank's bug) is only remarked."""
        try:
            read_balance(event.content, self._draft.currency)
        except _UNREADABLE:
            self.findings.add(
                "field_unreadable", line=event.line, field=event.tag, name=f":{event.tag}:", excerpt=event.content,
                severity=Severity.WARNING,
            )  # fmt: skip
        self._unknown_lines(event)

    def _declared(self, event: Event) -> None:
        self._unknown_lines(event)
        try:
            count, currency, units = read_count_and_sum(event.content)
        except _UNREADABLE:
            self.findings.add("field_unreadable", line=event.line, field=event.tag, name=f":{event.tag}:", excerpt=event.content)
            return
        self._currency(currency, event)
        totals = self._draft.totals
        if event.tag == "90D":
            totals.out_count, totals.out_total = Declared(count, event.line), Declared(units, event.line)
        else:
            totals.in_count, totals.in_total = Declared(count, event.line), Declared(units, event.line)

    def _day(self, read: ReadDate, event: Event, raw: str) -> date:
        if read.clamped:
            self.findings.add("date_clamped", line=event.line, field=event.tag, excerpt=raw, date=read.day)
        return read.day

    # -- statement lines ---------------------------------------------------------------------------------------------

    def _line(self, event: Event) -> None:
        self._flush_line()
        exponent = exponent_or_two(self._draft.currency)
        content = event.content
        try:
            read = read_line(content, exponent)
        except _UNREADABLE as problem:
            wrapped = next((line for line in event.more if line.strip()), "")
            if not wrapped:  # nothing to join it with
                self._refuse_line(problem, event)
                return
            try:
                read = read_line(content.strip() + wrapped.strip(), exponent)
            except _UNREADABLE:
                self._refuse_line(problem, event)
                return
            event.more = event.more[event.more.index(wrapped) + 1 :]
            self.findings.add("wrapped_field", line=event.line, field="61", tag=":61:")
        self.pending = (read, event, [])

    def _refuse_line(self, problem: Exception, event: Event) -> None:
        code, currency = "line_unreadable", self._draft.currency or "?"
        if isinstance(problem, AmountTooFine):
            code = "amount_decimals"
        elif isinstance(problem, AmountUnreadable):
            code = "amount_unreadable"
        elif isinstance(problem, DateUnreadable):
            code = "date_unreadable"
        self.findings.add(code, line=event.line, field="61", excerpt=event.content, currency=currency)
        self._unknown_lines(event)

    def _details(self, event: Event) -> None:
        if self.pending is not None:
            self.pending[2].append(event)
            return
        if self._draft.closing_balance is not None or "62F" in self.tags or "62M" in self.tags or "90C" in self.tags:
            self._statement_details(event)

    def _statement_details(self, event: Event) -> None:
        """:86: after the closing balance speaks of the statement; some banks put control totals there."""
        declared = read_declared_totals(event.content.strip(), exponent_or_two(self._draft.currency))
        if declared is None:
            return
        totals = self._draft.totals
        totals.out_count, totals.in_count = Declared(declared.out_count, event.line), Declared(declared.in_count, event.line)
        totals.out_total, totals.in_total = Declared(declared.out_units, event.line), Declared(declared.in_units, event.line)

    def _flush_line(self) -> None:
        """Make the statement line of the pending :61: and its :86:."""
        if self.pending is None:
            return
        read, event, detail_events = self.pending
        self.pending = None
        draft = self._draft
        value, entry = read.value_date, read.entry_date
        if value.clamped:
            self._day(value, event, event.content[:6])
        if entry is not None and entry.clamped:
            self._day(entry, event, event.content[6:10])
        booking_date = value.day if entry is None else entry.day
        if not read.has_comma:
            self.findings.add(
                "field_unreadable", line=event.line, field="61", excerpt=event.content, severity=Severity.WARNING,
                name="the decimal comma", name_zh="小数逗号",
            )  # fmt: skip
        if not read.minor_units:
            self.findings.add("amount_zero", line=event.line, field="61")
        if len(detail_events) == 1 and detail_events[0].tag == "86":
            details = read_details(detail_events[0].content, detail_events[0].more)
        else:
            details = _details_of(detail_events)
        description, end_to_end, bank = details.description, details.end_to_end_reference, read.bank_reference
        if event.more and (supplementary := " ".join(line.strip() for line in event.more if line.strip())):
            description = f"{description} {supplementary}" if description else supplementary
        references = reference_set((bank, end_to_end, read.customer_reference, *details.references), description)
        draft.lines.append_packed((
            booking_date.toordinal(), value.day.toordinal(), read.direction, read.minor_units, draft.currency or NO_CURRENCY,
            "PENDING" if read.expected else "BOOKED", event.line, bank, end_to_end, references, details.name, details.account,
            description, read.reversal, read.type_code, None, None, None, event.content, None,
        ))  # fmt: skip

    # -- the end of a statement --------------------------------------------------------------------------------------

    def _close_statement(self) -> None:
        self._flush_line()
        draft = self.draft
        if draft is None:
            return
        intraday = self.message_type == "942" or (
            any(tag in self.tags for tag in _INTRADAY_TAGS) and not {"60F", "60M", "62F", "62M"} & self.tags
        )
        if intraday:
            draft.kind = StatementKind.INTRADAY
            draft.page = None
            if not self.ended and not {"90D", "90C"} & self.tags:  # nothing else would show that lines were cut off
                self.findings.add("truncated", line=draft.line, field="90D", reason="neither control totals nor an end mark")
        elif draft.opening_balance is None and "opening" not in self.tags:
            self.findings.add("opening_missing", line=draft.line, field="60F")
        if not intraday and not {"62F", "62M"} & self.tags:
            self.findings.add("closing_missing", line=draft.line, field="62F")
        if draft.account is None:
            self.findings.add("account_missing", line=draft.line, field="25")
        if draft.currency is None:
            self.findings.add("currency_missing", line=draft.line, field="60F" if not intraday else "34F")
        draft.last_page = not self.closing_interim
        run_checks(draft, self.findings)
        self.marks.append(PageMark(self.opening_interim, self.closing_interim, draft.opening_line, draft.closing_line))
        self.statements.append(draft.finished(accepted=True))
        self.draft = None
        self.findings.statement = None


def _nothing(event: Event) -> None:
    """Fields that carry nothing the house uses."""


def _details_of(events: list[Event]) -> Details:
    """All :86: and :NS: of one :61:."""
    if not events:
        return NOTHING
    first = events[0]
    if first.tag == "NS":
        return read_ns(first.content, first.more)
    if len(events) == 1:
        return read_details(first.content, first.more)
    # several :86: for one :61: (older Dutch files): each is a line of the same text
    more = list(first.more)
    for event in events[1:]:
        text = joined(event.content, event.more)
        more.append(text)
    return read_details(first.content + " ", [f"{line} " for line in more])
