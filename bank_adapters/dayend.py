"""The day-end file of a supervising authority's interface: ``count|amount|``, then one padded record a movement.

Layout (DOMAIN.md 2.2, Tai'an): ``txcode(4)|bizno(14)|DC(1)|amount(20)|account(30)|platform serial(16)|bank serial(30)|
branch(30)|teller(30)|date(10)|`` after ``count(6)|amount(20)|``, blanks at the right, CRLF. DC is 1 for money in, 2 for money
out. Amounts are yuan with two decimals (the messages of the same interface carry fen, so an amount without a point is refused).
The file has no balances and may hold several accounts: each is a report that closes no day. The declared amount is the sum of
all amounts, whatever their direction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from bank_adapters.amounts import AmountTooFine, AmountUnreadable, parse_point_amount
from bank_adapters.checks import run_checks
from bank_adapters.dates import DateUnreadable, read_date
from bank_adapters.draft import StatementDraft
from bank_adapters.findings import Findings, amount_text
from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.references import meaningful, reference_set
from money import Money

CURRENCY = "CNY"
_HEAD = re.compile(
    r"\ufeff?[0-9]{1,6} *\|[0-9]{1,17}(?:\.[0-9]{1,2})? *\|[ \t]*(?:\n[0-9]{4}\|[^|\n]{0,14}\|[12]\||\s*\Z)", re.ASCII
)
_FIELDS = ("txcode", "bizno", "DC", "amount", "account", "platform serial", "bank serial", "branch", "teller", "date")
_DIRECTIONS = {"1": Direction.IN, "2": Direction.OUT}
_REVERSALS = frozenset({"2011", "2111", "2211"})  # of a deposit, a disbursement, a refund
_DATE_FORMATS = ("YYYY-MM-DD", "YYYYMMDD", "YYYY/MM/DD")


def is_day_end(head: str) -> bool:
    """Whether the text begins with count and amount, and the first record (if any) with its code and direction."""
    return bool(_HEAD.match(head))


def read_day_end(lines: Iterable[str], findings: Findings) -> tuple[Statement, ...]:
    """One report for every account of the file, in the order they are met."""
    reader = _Reader(findings)
    number = 0
    for number, line in enumerate(lines, 1):
        if line.strip(" \t\x1a"):
            reader.take(line, number)
    return reader.finish(number)


class _Reader:
    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.drafts: dict[str, StatementDraft] = {}
        self.declared: tuple[int, int, int] | None = None  # count, amount, line
        self.count = self.total = 0

    def take(self, line: str, number: int) -> None:
        """The head, or one record."""
        fields = [each.strip() for each in line.rstrip(" \t").removesuffix("|").split("|")]
        if self.declared is None:
            units = self._amount(fields[1] if len(fields) > 1 else "", number, "amount", bare_zero=True)
            self.declared = (int(fields[0]), units or 0, number)
            return
        if len(fields) != len(_FIELDS) or not line.rstrip(" \t").endswith("|"):
            self.findings.add("record_width", line=number, found=len(fields), expected=len(_FIELDS), excerpt=line)
            return
        self._record(dict(zip(_FIELDS, fields, strict=True)), line, number)

    def _record(self, given: dict[str, str], line: str, number: int) -> None:
        account = given["account"]
        draft = self.drafts.get(account)
        if draft is None:
            draft = StatementDraft(kind=StatementKind.INTRADAY, account=account or None, currency=CURRENCY, line=number)
            self.drafts[account] = draft
        self.findings.statement = list(self.drafts).index(account)
        if not account:
            self.findings.add("account_missing", line=number, field="account")
        self.count += 1
        units = self._amount(given["amount"], number, "amount")
        direction = _DIRECTIONS.get(given["DC"])
        if direction is None:
            self.findings.add("direction_unreadable", line=number, field="DC", excerpt=given["DC"])
        day = self._day(given["date"], number)
        if units is not None:
            self.total += units
            if direction is not None:
                draft.lines.append(_line(given, direction, units, day, line, number))
        self.findings.statement = None

    def _amount(self, text: str, line: int, field: str, *, bare_zero: bool = False) -> int | None:
        try:
            if ("." in text or (bare_zero and not text.strip("0"))) and not text.startswith(("+", "-")):
                return parse_point_amount(text, 2)
        except AmountTooFine:
            self.findings.add("amount_decimals", line=line, field=field, excerpt=text, currency=CURRENCY)
            return None
        except AmountUnreadable:
            pass
        self.findings.add("amount_unreadable", line=line, field=field, excerpt=text)
        return None

    def _day(self, text: str, line: int) -> date | None:
        try:
            return read_date(text, _DATE_FORMATS).day
        except DateUnreadable:
            self.findings.add("date_unreadable", line=line, field="date", excerpt=text)
            return None

    def finish(self, last: int) -> tuple[Statement, ...]:
        """Compare with what the head declares. A file of no movements is a file of no statements, and says so."""
        findings = self.findings
        count, total, line = self.declared or (0, 0, 1)
        if count != self.count:
            findings.add(
                "control_count",
                line=line,
                field="count",
                what="number of lines",
                what_zh="总笔数",
                declared=count,
                found=self.count,
            )
        if total != self.total:
            findings.add(
                "control_total", line=line, field="amount", what="sum of all amounts", what_zh="金额合计",
                declared=amount_text(total, CURRENCY), found=amount_text(self.total, CURRENCY),
            )  # fmt: skip
        if not self.drafts and not findings.refused:
            findings.add("no_statement", line=last or 1, field="count")
        for index, draft in enumerate(self.drafts.values()):
            findings.statement = index
            days = [each.booking_date for each in draft.lines if each.booking_date]
            draft.opening_date, draft.closing_date = min(days, default=None), max(days, default=None)
            findings.add("report_only", line=draft.line, field="balance")
            run_checks(draft, findings)
        findings.statement = None
        return tuple(draft.finished(accepted=not findings.errors_in(index)) for index, draft in enumerate(self.drafts.values()))


def _line(given: dict[str, str], direction: Direction, units: int, day: date | None, line: str, number: int) -> StatementLine:  # noqa: PLR0917 - the parts of one record
    bank, platform, business = (meaningful(given[name]) for name in ("bank serial", "platform serial", "bizno"))
    return StatementLine(
        booking_date=day,
        value_date=None,
        direction=direction,
        amount=Money(units, CURRENCY),
        status=LineStatus.BOOKED,
        line=number,
        bank_reference=bank,
        end_to_end_reference=platform,
        references=reference_set((bank, platform, business)),
        description=f"{given['txcode']} {given['bizno']}".strip(),
        reversal=given["txcode"] in _REVERSALS,
        transaction_code=given["txcode"],
        source=line.rstrip(),
    )
