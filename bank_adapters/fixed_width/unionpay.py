"""UnionPay settlement detail (ZM): fields of fixed width in bytes, joined by one blank, amounts in fen.

Columns count bytes of GB18030, so a record is cut before it is decoded. Fee, settled amount, split amount and net are D or C and
twelve digits: C is money for the merchant. What moves is the net, and net = settled + fee (a fee is D). The time of a record has
no year: it is that of the day in the file's name (``INN260302..ZM_``), nearest to that day. The file has no balances: a report
for each merchant that closes no day. Source: DOMAIN.md 2.6 (field table); codes S.. cancel, R.. refund.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from bank_adapters.checks import run_checks
from bank_adapters.dates import DateUnreadable, read_mmdd_near, read_time, read_yymmdd
from bank_adapters.draft import StatementDraft
from bank_adapters.findings import Findings, amount_text
from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.references import meaningful, reference_set
from money import Money

CURRENCY = "CNY"
FIELDS: tuple[tuple[str, int], ...] = (
    ("code", 3), ("agent", 11), ("sender", 11), ("trace", 6), ("time", 10), ("account", 19), ("amount", 12), ("category", 4),
    ("terminal_kind", 2), ("query", 21), ("pay_kind_old", 2), ("order", 32), ("card_kind", 2), ("original_trace", 6),
    ("original_time", 10), ("fee", 13), ("settled", 13), ("pay_kind", 4), ("group", 15), ("kind", 2), ("subkind", 2),
    ("business", 6), ("account_kind", 2), ("bill_kind", 4), ("bill", 32), ("interaction", 1), ("original_query", 21),
    ("merchant", 15), ("split_kind", 1), ("submerchant", 15), ("short_name", 32), ("split", 13), ("net", 13), ("terminal", 8),
    ("custom", 32), ("discount", 13), ("invoice", 13), ("instalment_fee", 12), ("instalments", 2), ("medium", 1),
    ("reserved", 131),
)  # fmt: skip
_NEEDED = 33  # up to the net; what follows may be cut off at the line's end
_HEAD = re.compile(r"[A-Z][0-9]{2} [0-9 ]{11} [0-9 ]{11} [0-9]{6} [0-9]{10} [^\n]{19} [0-9]{12} [0-9 ]{4} ", re.ASCII)
_SIGNED = re.compile(r"([CD])([0-9]{12})", re.ASCII)
_NAME_DAY = re.compile(r"(?<![0-9])INN([0-9]{6})", re.ASCII)


def is_unionpay(head: str) -> bool:
    """Whether the text begins with a record: code, institutions, trace, time, card, amount, category in their places."""
    return bool(_HEAD.match(head))


def read_unionpay(lines: Iterable[str], findings: Findings, name: str) -> tuple[Statement, ...]:
    """One report for every merchant of the file. ``name`` gives the year."""
    reader = _Reader(findings, _day_of(name))
    for number, line in enumerate(lines, 1):
        if line.strip(" \t\x1a"):
            reader.take(line, number)
    return reader.finish()


def _day_of(name: str) -> date | None:
    found = _NAME_DAY.search(name)
    try:
        return read_yymmdd(found[1]).day if found else None
    except DateUnreadable:
        return None


def _fields(line: str) -> dict[str, str] | None:
    """The fields by name, None when the record is too short or blanks do not part them."""
    raw = line.encode("gb18030", "surrogatepass")
    found: dict[str, str] = {}
    at = 0
    for index, (name, width) in enumerate(FIELDS):
        piece = raw[at : at + width]
        if len(piece) < width and index < _NEEDED:
            return None
        try:
            found[name] = piece.decode("gb18030").strip()
        except UnicodeDecodeError:
            return None
        at += width
        if raw[at : at + 1] not in (b" ", b"") or (at > len(raw) and index < _NEEDED):
            return None
        at += 1
    return found


class _Reader:
    def __init__(self, findings: Findings, settled_on: date | None) -> None:
        self.findings = findings
        self.settled_on = settled_on
        self.drafts: dict[str, StatementDraft] = {}

    def take(self, line: str, number: int) -> None:
        """One record."""
        given = _fields(line)
        if given is None:
            self.findings.add("record_width", line=number, found=len(line), expected=sum(width + 1 for _, width in FIELDS) - 1)
            return
        merchant = given["merchant"]
        draft = self.drafts.get(merchant)
        if draft is None:
            draft = StatementDraft(kind=StatementKind.INTRADAY, account=merchant or None, currency=CURRENCY, line=number)
            self.drafts[merchant] = draft
        self.findings.statement = list(self.drafts).index(merchant)
        if not merchant:
            self.findings.add("account_missing", line=number, field="merchant")
        made = self._line(given, line, number)
        if made is not None:
            draft.lines.append(made)
        self.findings.statement = None

    def _signed(self, text: str, line: int, field: str) -> int | None:
        found = _SIGNED.fullmatch(text)
        if found is None:
            self.findings.add("amount_unreadable", line=line, field=field, excerpt=text)
            return None
        return int(found[2]) if found[1] == "C" else -int(found[2])

    def _line(self, given: dict[str, str], line: str, number: int) -> StatementLine | None:
        settled, fee, net = (self._signed(given[name], number, name) for name in ("settled", "fee", "net"))
        split = _SIGNED.fullmatch(given["split"])
        if settled is None or fee is None or net is None:
            return None
        if not (split and int(split[2])) and settled + fee != net:
            self.findings.add(
                "control_total", line=number, field="net", what="net", what_zh="清算净额",
                declared=amount_text(net, CURRENCY), found=amount_text(settled + fee, CURRENCY),
            )  # fmt: skip
        query, order = meaningful(given["query"]), meaningful(given["order"])
        return StatementLine(
            booking_date=self._day(given["time"], number),
            value_date=self.settled_on,
            direction=Direction.IN if net >= 0 else Direction.OUT,
            amount=Money(abs(net), CURRENCY),
            status=LineStatus.BOOKED,
            line=number,
            bank_reference=query,
            end_to_end_reference=order,
            references=reference_set((query, order, given["bill"], given["original_query"])),
            description=given["short_name"] or None,
            reversal=given["code"].startswith("S"),
            transaction_code=given["code"],
            source=line,
        )

    def _day(self, text: str, line: int) -> date | None:
        try:
            if self.settled_on is not None:
                read_time(text[4:])
                near = read_mmdd_near(text[:4], self.settled_on)
                if near is not None and not near.clamped:
                    return near.day
        except DateUnreadable:
            pass
        self.findings.add("date_unreadable", line=line, field="time", excerpt=text)
        return None

    def finish(self) -> tuple[Statement, ...]:
        """Every merchant's report."""
        findings = self.findings
        if not self.drafts and not findings.refused:
            findings.add("no_statement", line=1)
        for index, draft in enumerate(self.drafts.values()):
            findings.statement = index
            findings.add("report_only", line=draft.line, field="balance")
            run_checks(draft, findings)
        findings.statement = None
        return tuple(draft.finished(accepted=not findings.errors_in(index)) for index, draft in enumerate(self.drafts.values()))
