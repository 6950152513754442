"""One statement of an MT940, MT942 or MT950 file while its fields are read: header, balances, control totals, and its end."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from bank_adapters.amounts import AmountTooFine, AmountUnreadable, exponent_or_two
from bank_adapters.checks import run_checks
from bank_adapters.dates import DateUnreadable, ReadDate
from bank_adapters.draft import Declared, StatementDraft
from bank_adapters.findings import Findings
from bank_adapters.model import Severity, Statement, StatementKind
from bank_adapters.mt940.fields import (
    FieldUnreadable,
    read_balance,
    read_count_and_sum,
    read_declared_totals,
    read_floor,
    read_number,
)
from bank_adapters.mt940.pages import PageMark
from bank_adapters.mt940.scanner import Event
from money import Money

_INTRADAY_TAGS = ("34F", "90D", "90C", "13D")
_IDENTIFIER_CODE = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?", re.ASCII)  # of :25P:, ISO 9362

#: What a field that cannot be read raises.
UNREADABLE = (FieldUnreadable, AmountUnreadable, DateUnreadable)


def unknown_lines(event: Event, findings: Findings) -> None:
    """Name the continuation lines of a field that has none."""
    for shift, line in enumerate(event.more, 1):
        if line.strip():
            findings.add("unknown_content", line=event.line + shift, field=event.tag, excerpt=line)


def day_of(read: ReadDate, event: Event, raw: str, findings: Findings) -> date:
    """The day of a field as read; one moved to its month's end is named."""
    if read.clamped:
        findings.add("date_clamped", line=event.line, field=event.tag, excerpt=raw, date=read.day)
    return read.day


class OpenStatement:
    """What the fields of one statement said so far, and which there were."""

    def __init__(self, line: int, findings: Findings) -> None:
        """``line``: where it begins."""
        self.findings = findings
        self.draft = StatementDraft(line=line)
        self.tags: set[str] = set()
        self.ended = False  # by the mark at the end of a message
        self.opening_interim = self.closing_interim = False
        self._taken_by: dict[str, Callable[[Event], None]] = {
            "20": self._statement_id, "21": _nothing, "25": self._account, "25P": self._account,
            "28": self._number, "28C": self._number, "60F": self._opening, "60M": self._opening,
            "62F": self._closing, "62M": self._closing, "34F": self._floor,
            "90D": self._declared, "90C": self._declared, "13": _nothing, "13D": _nothing,
            "64": self._other_balance, "64F": self._other_balance, "65": self._other_balance, "65F": self._other_balance,
        }  # fmt: skip

    def take(self, event: Event) -> None:
        """Take a field other than a movement or its details."""
        self._taken_by[event.tag](event)

    @property
    def closed(self) -> bool:
        """Whether its closing balance was there, readable or not."""
        return self.draft.closing_balance is not None or "62F" in self.tags or "62M" in self.tags

    def _statement_id(self, event: Event) -> None:
        self.draft.statement_id = event.content.strip() or None
        unknown_lines(event, self.findings)

    def _account(self, event: Event) -> None:
        account = event.content.strip()
        if self.draft.account is not None and self.draft.account != account:
            self.findings.add("fact_repeated", line=event.line, field="25", name=":25:", excerpt=account)
        else:
            self.draft.account = account or None
        bank = [line for line in event.more if line.strip()]
        if event.tag != "25P" or len(bank) != 1 or not _IDENTIFIER_CODE.fullmatch(bank[0].strip()):
            unknown_lines(event, self.findings)

    def _number(self, event: Event) -> None:
        content = event.content.strip()
        more = [line.strip() for line in event.more if line.strip()]
        if more and all(re.fullmatch(r"[0-9/]+", line, re.ASCII) for line in more):
            content += "".join(more)  # a number broken over the line's end
            self.findings.add("wrapped_field", line=event.line, field=event.tag, tag=f":{event.tag}:")
        else:
            unknown_lines(event, self.findings)
        try:
            number, page = read_number(content)
        except FieldUnreadable:
            self.findings.add("fact_unreadable", line=event.line, field=event.tag, name=f":{event.tag}:", excerpt=content)
            return
        if self.draft.sequence is not None and self.draft.sequence != number:
            self.findings.add("fact_repeated", line=event.line, field=event.tag, name=f":{event.tag}:", excerpt=content)
            return
        self.draft.sequence, self.draft.page = number, page

    def _floor(self, event: Event) -> None:
        unknown_lines(event, self.findings)
        try:
            currency, units = read_floor(event.content)
        except UNREADABLE:
            self.findings.add("field_unreadable", line=event.line, field="34F", name=":34F:", excerpt=event.content)
            return
        self._currency(currency, event)
        limit = self.draft.totals.floor_minor_units
        self.draft.totals.floor_minor_units = units if limit is None else min(limit, units)

    def _currency(self, currency: str | None, event: Event) -> None:
        if currency is None:
            return
        if self.draft.currency is None:
            self.draft.currency = currency
        elif self.draft.currency != currency:
            self.findings.add("currency_differs", line=event.line, field=event.tag, found=currency, expected=self.draft.currency)

    def _opening(self, event: Event) -> None:
        draft = self.draft
        if "opening" in self.tags:
            self.findings.add("balance_repeated", line=event.line, field=event.tag, name="opening balance", name_zh="期初余额")
            unknown_lines(event, self.findings)
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
        draft = self.draft
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
        except UNREADABLE:
            try:
                read = read_balance(content + "".join(line.strip() for line in rest), currency)
            except AmountTooFine:
                self.findings.add("amount_decimals", line=event.line, field=event.tag, excerpt=content, currency=currency or "?")
                return None
            except UNREADABLE:
                code = "amount_unreadable" if event.tag[:2] in ("60", "62") else "field_unreadable"
                self.findings.add(code, line=event.line, field=event.tag, excerpt=content, name=f":{event.tag}:")
                unknown_lines(event, self.findings)
                return None
            self.findings.add("wrapped_field", line=event.line, field=event.tag, tag=f":{event.tag}:")
        else:
            unknown_lines(event, self.findings)
        return read.amount, read.currency, day_of(read.read_date, event, content[1:7], self.findings)

    def _other_balance(self, event: Event) -> None:
        """Available and forward balances decide nothing: an unreadable one (a bank's bug) is only remarked."""
        try:
            read_balance(event.content, self.draft.currency)
        except UNREADABLE:
            self.findings.add(
                "field_unreadable", line=event.line, field=event.tag, name=f":{event.tag}:", excerpt=event.content,
                severity=Severity.WARNING,
            )  # fmt: skip
        unknown_lines(event, self.findings)

    def _declared(self, event: Event) -> None:
        unknown_lines(event, self.findings)
        try:
            count, currency, units = read_count_and_sum(event.content)
        except UNREADABLE:
            self.findings.add("field_unreadable", line=event.line, field=event.tag, name=f":{event.tag}:", excerpt=event.content)
            return
        self._currency(currency, event)
        totals = self.draft.totals
        if event.tag == "90D":
            totals.out_count, totals.out_total = Declared(count, event.line), Declared(units, event.line)
        else:
            totals.in_count, totals.in_total = Declared(count, event.line), Declared(units, event.line)

    def details(self, event: Event) -> None:
        """:86: after the closing balance speaks of the statement; some banks put control totals there."""
        declared = read_declared_totals(event.content.strip(), exponent_or_two(self.draft.currency))
        if declared is None:
            return
        totals = self.draft.totals
        totals.out_count, totals.in_count = Declared(declared.out_count, event.line), Declared(declared.in_count, event.line)
        totals.out_total, totals.in_total = Declared(declared.out_units, event.line), Declared(declared.in_units, event.line)

    def finished(self, message_type: str) -> tuple[Statement, PageMark]:
        """The statement at its end, checked; ``message_type`` as the message's header says, or empty."""
        draft = self.draft
        intraday = message_type == "942" or (
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
        mark = PageMark(self.opening_interim, self.closing_interim, draft.opening_line, draft.closing_line)
        return draft.finished(accepted=True), mark


def _nothing(event: Event) -> None:
    """Fields that carry nothing the house uses."""
