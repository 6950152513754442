"""MT940, MT942 and MT950 files: fields assembled into statements, checked at each statement's end.

Rules not in the SWIFT handbook are those banks force on readers; each is told where it is applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bank_adapters.amounts import AmountTooFine, AmountUnreadable, exponent_or_two
from bank_adapters.dates import DateUnreadable
from bank_adapters.findings import Findings
from bank_adapters.model import Severity, Statement, StatementKind
from bank_adapters.mt940.details import NOTHING, Details, joined, read_details, read_ns
from bank_adapters.mt940.fields import NO_CURRENCY, LineField, read_line
from bank_adapters.mt940.ordinary import Ordinary
from bank_adapters.mt940.pages import PageMark, check_pages
from bank_adapters.mt940.scanner import Event, Kind, scan
from bank_adapters.mt940.statement import UNREADABLE, OpenStatement, day_of, unknown_lines
from bank_adapters.references import reference_set
from bank_adapters.text_lines import Lines

_LINE_TAGS = frozenset({"61", "86", "NS"})  # within a statement these open nothing
_BEGINNING = frozenset({"25", "25P", "28", "28C", "60F", "60M", "34F"})  # after a closing balance these open the next statement
_FIELD = Kind.FIELD
_DECIMALS = 2  # of the currencies whose ordinary movements are read by column
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
        self.statement: OpenStatement | None = None
        self.pending: tuple[LineField, Event, list[Event]] | None = None  # a :61: waiting for its :86:
        self.message_type = ""
        self.block_open_line: int | None = None

    # -- events ------------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Take one event of the scanner."""
        if event.kind is _FIELD:
            self._field(event)
        elif event.kind is Kind.END:
            self._flush_line()
            self.block_open_line = None
            if self.statement is not None:
                self.statement.ended = True
        elif event.kind is Kind.ENVELOPE:
            self._envelope(event)
        else:
            self._flush_line()
            self.findings.add("unknown_content", line=event.line, field=event.tag or None, excerpt=event.content)

    def _field(self, event: Event) -> None:
        tag, statement = event.tag, self.statement
        if tag in _LINE_TAGS:
            if statement is None or statement.ended:
                statement = self._boundary(event)
            statement.tags.add(tag)
            if tag == "61":
                self._line(event, statement)
            else:
                self._details(event, statement)
        elif tag in ("940", "942", "950"):
            self._close_statement()
            self.message_type = tag
            unknown_lines(event, self.findings)
        else:
            statement = self._boundary(event)
            self._flush_line()
            statement.tags.add(tag)
            statement.take(event)

    def take_run(self, lines: Lines) -> bool:
        """Take the ordinary movements that begin at the current :61:, where there are enough of them; see ``scan``."""
        statement = self.statement
        if lines.number <= self.one_by_one_to or statement is None or statement.ended:
            return False
        draft = statement.draft
        if not draft.currency or exponent_or_two(draft.currency) != _DECIMALS:
            return False
        count, taken, columns = self.ordinary.run(*lines.here(), lines.number, draft.currency)
        if count < self.shortest_run:
            self.one_by_one_to = lines.number + taken - 1
            return False
        self._flush_line()
        statement.tags |= {"61", "86"}
        draft.lines.append_columns(count, columns)
        lines.skip(taken - 1)
        return True

    def finish(self) -> None:
        """The end of the file."""
        self._flush_line()
        if self.block_open_line is not None and self.statement is not None:
            self.findings.add("no_end_mark", line=self.block_open_line)
        self._close_statement()

    def _envelope(self, event: Event) -> None:
        if self.statement is None or not self.statement.ended or event.content.startswith("{1:"):
            self._close_statement()
        content = event.content.strip()
        if found := re.search(r"\{2:[IO](9[0-9]{2})|\A(9[45][0-9])(?: |\Z)", content):
            self.message_type = found[1] or found[2]
        if _IN_BLOCK.search(content):
            self.block_open_line = event.line

    def _boundary(self, event: Event) -> OpenStatement:
        """The statement a field belongs to.

        One begins at :20:, or at a header field once the one before has its closing balance.
        """
        tag, before = event.tag, self.statement
        if before is None:
            return self._open(event)
        if tag == "20" or (tag in _BEGINNING and (before.ended or (before.closed and tag != "34F"))):  # MT942 repeats :34F:
            self._close_statement()
            statement = self._open(event)
            if tag != "20":  # several :28C: pages under one :20:
                statement.draft.statement_id = before.draft.statement_id
                if tag not in ("25", "25P"):
                    statement.draft.account = before.draft.account
            return statement
        if before.ended and tag in ("61", "86", "62F", "62M"):
            self.findings.add("field_order", line=event.line, field=tag, tag=f":{tag}:")
            before.ended = False
        return before

    def _open(self, event: Event) -> OpenStatement:
        self.findings.statement = len(self.statements)
        self.statement = OpenStatement(event.line, self.findings)
        return self.statement

    def _close_statement(self) -> None:
        self._flush_line()
        if self.statement is None:
            return
        statement, mark = self.statement.finished(self.message_type)
        self.marks.append(mark)
        self.statements.append(statement)
        self.statement = self.findings.statement = None

    # -- statement lines ---------------------------------------------------------------------------------------------

    def _line(self, event: Event, statement: OpenStatement) -> None:
        self._flush_line()
        currency = statement.draft.currency
        exponent = exponent_or_two(currency)
        content = event.content
        try:
            read = read_line(content, exponent)
        except UNREADABLE as problem:
            wrapped = next((line for line in event.more if line.strip()), "")
            if not wrapped:  # nothing to join it with
                self._refuse_line(problem, event, currency)
                return
            try:
                read = read_line(content.strip() + wrapped.strip(), exponent)
            except UNREADABLE:
                self._refuse_line(problem, event, currency)
                return
            event.more = event.more[event.more.index(wrapped) + 1 :]
            self.findings.add("wrapped_field", line=event.line, field="61", tag=":61:")
        self.pending = (read, event, [])

    def _refuse_line(self, problem: Exception, event: Event, currency: str | None) -> None:
        code = "line_unreadable"
        if isinstance(problem, AmountTooFine):
            code = "amount_decimals"
        elif isinstance(problem, AmountUnreadable):
            code = "amount_unreadable"
        elif isinstance(problem, DateUnreadable):
            code = "date_unreadable"
        self.findings.add(code, line=event.line, field="61", excerpt=event.content, currency=currency or "?")
        unknown_lines(event, self.findings)

    def _details(self, event: Event, statement: OpenStatement) -> None:
        if self.pending is not None:
            self.pending[2].append(event)
        elif statement.closed or "90C" in statement.tags:
            statement.details(event)

    def _flush_line(self) -> None:
        """Make the statement line of the pending :61: and its :86:."""
        if self.pending is None or self.statement is None:
            return
        read, event, detail_events = self.pending
        self.pending = None
        draft = self.statement.draft
        value, entry = read.value_date, read.entry_date
        if value.clamped:
            day_of(value, event, event.content[:6], self.findings)
        if entry is not None and entry.clamped:
            day_of(entry, event, event.content[6:10], self.findings)
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
