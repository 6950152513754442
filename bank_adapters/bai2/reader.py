"""BAI2 files: file (01..99), groups (02..98), accounts (03..49) with their summaries and 16 transactions.

Control totals are the signed sum of every amount in 03, 88 and 16 records; record counts hold continuations and the trailer
itself. Both are checked on all three levels. An account with opening (010) and closing ledger (015) is a statement; one
without them, or marked interim, is a report that closes no day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import NamedTuple

from bank_adapters.bai2.records import JOINT, Record, records
from bank_adapters.checks import run_checks
from bank_adapters.dates import DateUnreadable, read_date, read_yymmdd
from bank_adapters.draft import StatementDraft
from bank_adapters.findings import Findings, amount_text
from bank_adapters.model import Direction, LineStatus, Severity, Statement, StatementKind, StatementLine
from bank_adapters.references import reference_set
from money import Money
from money.amount import AmountRefused, exponent_of

DEFAULT_CURRENCY = "USD"  # the standard's default where neither group nor account states one
OPENING_LEDGER, CLOSING_LEDGER = "010", "015"
NON_MONETARY = "890"
_AMOUNT = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)
_TYPE_CODE = re.compile(r"[0-9]{3}", re.ASCII)
_SPLIT = re.compile(f"[,{JOINT}]")
_INTERIM = frozenset({"1", "3"})  # as-of-date modifier: interim of the day before, interim of the same day
_FUNDS_PLAIN = frozenset({"", "Z", "0", "1", "2"})


def read_bai2(lines: Iterable[str], findings: Findings) -> tuple[Statement, ...]:
    """Accounts of all groups of a file's lines as statements."""
    reader = _Reader(findings)
    last = 0

    def counted() -> Iterator[str]:
        nonlocal last
        for last, line in enumerate(lines, 1):  # noqa: B007 - counts what passes
            yield line

    for record in records(counted(), findings):
        reader.take(record)
    reader.end_of_file(last)
    findings.statement = None
    if not reader.drafts:
        findings.add("no_statement", line=1, field="03")
    return tuple(draft.finished(accepted=not findings.errors_in(index)) for index, draft in enumerate(reader.drafts))


class _Level:
    """What one level (account, group or file) has counted since its header."""

    __slots__ = ("line", "members", "records", "total")

    def __init__(self, line: int) -> None:
        self.line = line
        self.total = 0
        self.members = 0
        self.records = 0


class _Funds(NamedTuple):
    """Where the fields behind a funds type go on, and the value date it states."""

    after: int
    value_date: date | None


class _Reader:
    """State of one file: which levels are open."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.drafts: list[StatementDraft] = []
        self.draft: StatementDraft | None = None
        self.file: _Level | None = None
        self.group: _Level | None = None
        self.account: _Level | None = None
        self.ended = False
        self.file_id: str | None = None
        self.group_currency = DEFAULT_CURRENCY
        self.group_day: date | None = None
        self.group_status = "1"
        self.interim = False
        self.balances: dict[str, int] = {}
        self.by_code = {
            "01": self._file_header, "02": self._group_header, "03": self._account_header, "16": self._transaction,
            "49": self._account_trailer, "98": self._group_trailer, "99": self._file_trailer,
        }  # fmt: skip

    def take(self, record: Record) -> None:
        """Take one logical record, counting it on every level that is open."""
        if record.code == "01":
            self._cut("a new file header", record.line)
            self.file = _Level(record.line)
        elif record.code == "02":
            self._cut_account("a group header", record.line)
            self._cut_group("a group header", record.line)
            self.group = _Level(record.line)
        elif record.code == "03":
            self._cut_account("an account", record.line)
            self.account = _Level(record.line)
        for level in (self.file, self.group, self.account):
            if level is not None:
                level.records += record.physical
        self.by_code[record.code](record)

    def end_of_file(self, line: int) -> None:
        self._cut("the end of the file", line)

    def _cut(self, what: str, line: int) -> None:
        self._cut_account(what, line)
        self._cut_group(what, line)
        if self.file is not None:
            self._truncated("99", what, line)
            self.file = None

    def _cut_account(self, what: str, line: int) -> None:
        if self.draft is not None:
            self._truncated("49", what, line)
            self._finish()

    def _cut_group(self, what: str, line: int) -> None:
        if self.group is not None:
            self._truncated("98", what, line)
            self.group = None

    def _truncated(self, field: str, what: str, line: int) -> None:
        self.findings.add("truncated", line=line, field=field, reason=f"{what} comes before the trailer record {field}")

    def _misplaced(self, record: Record) -> None:
        self.findings.add("record_order", line=record.line, field=record.code, record=record.code)

    # -- headers -----------------------------------------------------------------------------------------------------

    def _file_header(self, record: Record) -> None:
        self.file_id = record.field(4) or None
        version = record.field(7)
        if version not in ("", "2"):
            self.findings.add(
                "field_unreadable", line=record.line, field="01", name="the version", name_zh="版本", excerpt=version
            )

    def _group_header(self, record: Record) -> None:
        if self.file is None:
            self._misplaced(record)
        self.group_status = record.field(2)
        if self.group_status not in ("1", "2", "3", "4"):
            self.findings.add(
                "field_unreadable", line=record.line, field="02", name="the group status", name_zh="组状态",
                excerpt=self.group_status,
            )  # fmt: skip
        self.group_day = self._day(record.field(3), record.line, "02")
        self.group_currency = self._currency(record.field(5), record.line, "02") or DEFAULT_CURRENCY
        self.interim = record.field(6) in _INTERIM

    def _account_header(self, record: Record) -> None:
        self.findings.statement = len(self.drafts)
        if self.group is None:
            self._misplaced(record)
        draft = self.draft = StatementDraft(line=record.line, statement_id=self.file_id)
        draft.account = record.field(0) or None
        draft.currency = self._currency(record.field(1), record.line, "03") or self.group_currency
        draft.opening_date = draft.closing_date = self.group_day
        self.balances = {}
        if draft.account is None:
            self.findings.add("account_missing", line=record.line, field="03")
        if self.group_status in ("2", "4"):
            self.findings.add("group_not_data", line=record.line, field="02", status=self.group_status)
        elif self.group_status == "3":
            self.findings.add("group_correction", line=record.line, field="02")
        self._summaries(record)

    def _summaries(self, record: Record) -> None:
        """Type code, amount, item count, funds type; again and again. Empty groups and a bare end are passed over."""
        fields, at = record.fields, 2
        while at < len(fields):
            code = fields[at]
            if not code:
                at += 1
                continue
            if not _TYPE_CODE.fullmatch(code):
                self.findings.add(
                    "field_unreadable", line=record.line, field="03", name="the type code", name_zh="类型码", excerpt=code
                )
                return
            amount = fields[at + 1] if at + 1 < len(fields) else ""
            units = self._amount(amount, record.line, "03")
            if units is None:
                return
            funds = self._funds(fields, at + 3, record.line, "03")
            if funds is None:
                return
            at = funds.after
            if self.account is not None:
                self.account.total += units
            if not amount:
                continue
            if self.balances.setdefault(code, units) != units and code in (OPENING_LEDGER, CLOSING_LEDGER):
                self.findings.add("fact_repeated", line=record.line, field=code, name=code, excerpt=amount)

    # -- transactions ------------------------------------------------------------------------------------------------

    def _transaction(self, record: Record) -> None:
        """Type code, amount, funds type, bank reference, customer reference, text."""
        draft = self.draft
        if draft is None or self.account is None:
            self._misplaced(record)
            return
        content = record.content
        fields = _SPLIT.split(content, 32)
        code = fields[0].strip()
        amount_field = fields[1].strip() if len(fields) > 1 else ""
        units = self._amount(amount_field, record.line, "16")
        funds = self._funds(fields, 2, record.line, "16") if units is not None else None
        if units is None or funds is None:
            return
        self.account.total += units
        if code == NON_MONETARY:
            self.findings.add("non_monetary", line=record.line, field="16", severity=None if not units else Severity.ERROR)
            return
        direction = _direction(code)
        if direction is None:
            self.findings.add("direction_unreadable", line=record.line, field="16", excerpt=code)
            return
        if amount_field[:1] in ("+", "-"):  # only summaries are signed; a sign here would be read two ways
            self.findings.add("amount_unreadable", line=record.line, field="16", excerpt=amount_field)
            return
        if not units:
            self.findings.add("amount_zero", line=record.line, field="16")
        rest = _SPLIT.split(content, funds.after + 2)[funds.after :]
        bank_reference = rest[0].strip() or None if rest else None
        customer_reference = rest[1].strip() or None if len(rest) > 1 else None
        description = " ".join(rest[2].replace(JOINT, " ").split()) or None if len(rest) > 2 else None
        draft.lines.append(
            StatementLine(
                booking_date=self.group_day,
                value_date=funds.value_date,
                direction=direction,
                amount=Money(units, draft.currency or DEFAULT_CURRENCY),
                status=LineStatus.BOOKED,
                line=record.line,
                bank_reference=bank_reference,
                references=reference_set((bank_reference, customer_reference), description),
                description=description,
                transaction_code=code,
                source=content.replace(JOINT, "\n"),
            )
        )

    def _funds(self, fields: list[str], at: int, line: int, record_code: str) -> _Funds | None:
        """The fields a funds type brings: S three amounts, V day and time, D a count of pairs, others none."""
        kind = fields[at].strip() if at < len(fields) else ""
        value_date: date | None = None
        if kind in _FUNDS_PLAIN:
            return _Funds(at + 1, None)
        if kind == "S":
            return _Funds(at + 4, None)
        if kind == "V":
            if at + 1 < len(fields) and fields[at + 1].strip():
                value_date = self._day(fields[at + 1].strip(), line, record_code)
            return _Funds(at + 3, value_date)
        pairs = fields[at + 1].strip() if at + 1 < len(fields) else ""
        if kind == "D" and _NUMBER.fullmatch(pairs) and int(pairs) <= 999:
            return _Funds(at + 2 + 2 * int(pairs), None)
        self.findings.add(
            "field_unreadable", line=line, field=record_code, name="the funds type", name_zh="资金类型", excerpt=f"{kind} {pairs}"
        )
        return None

    # -- trailers ----------------------------------------------------------------------------------------------------

    def _account_trailer(self, record: Record) -> None:
        if self.draft is None or self.account is None:
            self._misplaced(record)
            return
        level = self.account
        total = self._total(record, level, self.draft.currency)
        self._count(record, 1, level.records, "records of the account", "账户记录数")
        if self.group is not None:
            self.group.total += total
            self.group.members += 1
        self._finish()

    def _group_trailer(self, record: Record) -> None:
        self._cut_account("the group's trailer", record.line)
        if self.group is None:
            self._misplaced(record)
            return
        level, self.group = self.group, None
        total = self._total(record, level, self.group_currency)
        self._count(record, 1, level.members, "accounts of the group", "组内账户数")
        self._count(record, 2, level.records, "records of the group", "组记录数")
        if self.file is not None:
            self.file.total += total
            self.file.members += 1

    def _file_trailer(self, record: Record) -> None:
        self._cut_account("the file's trailer", record.line)
        self._cut_group("the file's trailer", record.line)
        if self.file is None:
            self._misplaced(record)
            return
        level, self.file = self.file, None
        self._total(record, level, None)
        self._count(record, 1, level.members, "groups of the file", "文件组数")
        self._count(record, 2, level.records, "records of the file", "文件记录数")

    def _total(self, record: Record, level: _Level, currency: str | None) -> int:
        """The declared control total (blank means none), held against the sum read."""
        text = record.field(0)
        declared = self._amount(text, record.line, record.code)
        if declared is not None and declared != level.total:
            self.findings.add(
                "control_total", line=record.line, field=record.code, what="control total", what_zh="控制总额",
                declared=amount_text(declared, currency), found=amount_text(level.total, currency),
            )  # fmt: skip
        return level.total if declared is None else declared

    def _count(self, record: Record, index: int, found: int, what: str, what_zh: str) -> None:
        text = record.field(index)
        if not _NUMBER.fullmatch(text):
            self.findings.add("field_unreadable", line=record.line, field=record.code, name=what, name_zh=what_zh, excerpt=text)
        elif int(text) != found:
            self.findings.add(
                "control_count", line=record.line, field=record.code, what=what, what_zh=what_zh, declared=int(text), found=found
            )

    def _finish(self) -> None:
        draft = self.draft
        if draft is None:
            return
        currency = draft.currency or DEFAULT_CURRENCY
        opening, closing = self.balances.get(OPENING_LEDGER), self.balances.get(CLOSING_LEDGER)
        if opening is not None:
            draft.opening_balance, draft.opening_line = Money(opening, currency), draft.line
        if closing is not None:
            draft.closing_balance, draft.closing_line = Money(closing, currency), draft.line
        if opening is None or closing is None or self.interim:
            draft.kind = StatementKind.INTRADAY
            if not self.interim:
                self.findings.add("report_only", line=draft.line, field="03", opening=OPENING_LEDGER, closing=CLOSING_LEDGER)
        run_checks(draft, self.findings)
        self.drafts.append(draft)
        self.draft = self.account = None
        self.findings.statement = None

    # -- single fields -----------------------------------------------------------------------------------------------

    def _amount(self, text: str, line: int, field: str) -> int | None:
        """Whole minor units, signed; blank is zero. A decimal point is not allowed: the currency implies it."""
        if not text:
            return 0
        if not _AMOUNT.fullmatch(text):
            self.findings.add("amount_unreadable", line=line, field=field, excerpt=text)
            return None
        return int(text)

    def _day(self, text: str, line: int, field: str) -> date | None:
        try:
            read = read_yymmdd(text) if len(text) == 6 else read_date(text, ("YYYYMMDD",))
        except DateUnreadable:
            self.findings.add("date_unreadable", line=line, field=field, excerpt=text)
            return None
        if read.clamped:
            self.findings.add("date_clamped", line=line, field=field, excerpt=text, date=read.day)
        return read.day

    def _currency(self, text: str, line: int, field: str) -> str | None:
        if not text:
            return None
        try:
            exponent_of(text)
        except AmountRefused:
            self.findings.add("currency_unknown", line=line, field=field, excerpt=text)
            return None
        return text


def _direction(code: str) -> Direction | None:
    """100-399 and the custom 920-959 are credits, 400-699 and 960-999 debits; loans and status codes say neither."""
    if not _TYPE_CODE.fullmatch(code):
        return None
    if "100" <= code <= "399" or "920" <= code <= "959":
        return Direction.IN
    if "400" <= code <= "699" or "960" <= code <= "999":
        return Direction.OUT
    return None
