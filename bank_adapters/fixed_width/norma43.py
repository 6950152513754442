"""Norma 43 (AEB, Spain): records 11 account, 22 movement, 23 its text, 24 equivalent, 33 totals, 88 end, of 80 columns.

Sign 1 is debit, 2 credit; amounts have two implied decimals. Record 33 counts and sums both sides; banks differ on which side
a zero amount counts, so with one in the statement only all lines together are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bank_adapters.draft import Declared
from bank_adapters.findings import Findings
from bank_adapters.fixed_width.engine import Columns, FixedWidthReader, OpenLine, Record, fixed_records, signed_money
from bank_adapters.model import Direction, Severity, Statement
from money import Money

WIDTH = 80
_DECIMALS = 2
_HEAD = re.compile(r"\s*(?:00[^\n]*\n\s*)?11[0-9]{18}[0-9]{12}[0-9][0-9]{14}[0-9]{3}", re.ASCII)
_COLUMNS: dict[str, Columns] = {
    "00": {},
    "11": {
        "bank": (3, 6), "branch": (7, 10), "account": (11, 20), "start": (21, 26), "end": (27, 32), "sign": (33, 33),
        "amount": (34, 47), "currency": (48, 50), "name": (52, 77),
    },
    "22": {
        "date": (11, 16), "value": (17, 22), "concept": (23, 24), "own": (25, 27), "sign": (28, 28), "amount": (29, 42),
        "document": (43, 52), "reference_1": (53, 64), "reference_2": (65, 80),
    },
    "23": {"number": (3, 4), "text_1": (5, 42), "text_2": (43, 80)},
    "24": {"number": (3, 4), "currency": (5, 7), "amount": (8, 21)},
    "33": {
        "bank": (3, 6), "branch": (7, 10), "account": (11, 20), "debits": (21, 25), "debit": (26, 39), "credits": (40, 44),
        "credit": (45, 58), "sign": (59, 59), "amount": (60, 73), "currency": (74, 76),
    },
    "88": {"records": (21, 26)},
}  # fmt: skip
#: ISO 4217 numeric codes Spanish banks keep accounts in.
_NUMERIC = {
    "978": "EUR", "840": "USD", "826": "GBP", "756": "CHF", "392": "JPY", "156": "CNY", "124": "CAD",
    "208": "DKK", "752": "SEK", "578": "NOK", "985": "PLN", "203": "CZK", "348": "HUF", "484": "MXN", "986": "BRL",
    "032": "ARS", "170": "COP", "152": "CLP", "604": "PEN", "504": "MAD", "949": "TRY", "344": "HKD", "702": "SGD",
    "036": "AUD", "554": "NZD", "710": "ZAR", "356": "INR", "410": "KRW", "376": "ILS", "784": "AED", "682": "SAR", "634": "QAR",
    "414": "KWD", "048": "BHD", "400": "JOD", "788": "TND", "012": "DZD", "818": "EGP", "946": "RON", "975": "BGN", "352": "ISK",
    "643": "RUB", "764": "THB", "360": "IDR", "458": "MYR", "608": "PHP", "704": "VND", "901": "TWD", "858": "UYU", "600": "PYG",
    "068": "BOB", "188": "CRC", "214": "DOP", "320": "GTQ", "340": "HNL", "558": "NIO", "928": "VES", "952": "XOF", "950": "XAF",
}  # fmt: skip


def is_norma43(head: str) -> bool:
    """Whether the text begins with an account record, perhaps behind a file header 00."""
    return bool(_HEAD.match(head))


def read_norma43(lines: Iterable[str], findings: Findings) -> tuple[Statement, ...]:
    """Accounts (an 11 and its 33) of a Norma 43 file's lines."""
    reader = _Reader(findings)
    last = 1
    for record in fixed_records(lines, WIDTH, findings):
        reader.take(record)
        last = record.line
    reader.end_of_file(last)
    return reader.statements()


class _Reader(FixedWidthReader):
    def __init__(self, findings: Findings) -> None:
        super().__init__(findings)
        self.counted = self.equivalents = 0
        self.ended = False
        self.key = ""

    def take(self, record: Record) -> None:
        code = record.text[:2]
        columns = _COLUMNS.get(code)
        if columns is None:
            self.unknown(record)
            return
        record.columns = columns
        if self.ended:
            self.misplaced(record, code)
            return
        if code != "88":
            self.counted += 1
        if code == "88":
            self._end(record)
        elif code == "11":
            self._account(record)
        elif code == "00":
            if self.counted > 1:
                self.misplaced(record, code)
        elif code in ("23", "24") and self.line_refused:
            self.equivalents += code == "24"
        elif self.draft is None or (code in ("23", "24") and self.pending is None):
            self.misplaced(record, code)
        elif code == "22":
            self._movement(record)
        elif code == "33":
            self._totals(record)
        elif self.pending is not None:
            self.equivalents += code == "24"
            self.pending.source.append(record.text.rstrip())
            if code == "23":
                self.pending.texts += [record["text_1"], record["text_2"]]

    def end_of_file(self, line: int) -> None:
        self.cut("the end of the file", line)
        if not self.ended:
            self.findings.statement = None
            self.findings.add("truncated", line=line, field="88", reason="the end record 88 is missing")

    def _account(self, record: Record) -> None:
        self.cut("another account", record.line)
        draft = self.open(record)
        self.key = record["bank"] + record["branch"] + record["account"]
        draft.account = record["account"] or None
        draft.account_name = record["name"] or None
        draft.currency = self._currency(record)
        draft.opening_date = self.day(record["start"], record, "11")
        draft.closing_date = self.day(record["end"], record, "11")
        draft.opening_balance, draft.opening_line = self._balance(record, "11"), record.line

    def _currency(self, record: Record) -> str | None:
        code = _NUMERIC.get(record["currency"])
        if code is None:
            self.findings.add("currency_unknown", line=record.line, field="currency", excerpt=record["currency"])
        return code

    def _balance(self, record: Record, field: str) -> Money | None:
        units = self.units(record["amount"], _DECIMALS, record, field)
        sign = record["sign"]
        if sign == "0":  # not of the standard, but some banks write it; the balance identity judges the reading
            self.findings.add("sign_zero", line=record.line, field=field, severity=None if units else Severity.NOTE)
        elif sign not in ("1", "2"):
            self.findings.add("direction_unreadable", line=record.line, field=field, excerpt=sign)
            return None
        return signed_money(units, self.draft.currency if self.draft else None, negative=sign == "1")

    def _movement(self, record: Record) -> None:
        self.flush()
        units = self.units(record["amount"], _DECIMALS, record, "22")
        booking, value = self.day(record["date"], record, "22"), self.day(record["value"], record, "22")
        sign = record["sign"]
        if units is not None and sign not in ("1", "2") and (units or sign != "0"):
            self.findings.add("direction_unreadable", line=record.line, field="22", excerpt=sign)
            units = None
        if units is None:
            self.refuse_line()
            return
        references = [record[name] for name in ("document", "reference_1", "reference_2")]
        given = [reference if reference.strip("0") else None for reference in references]
        self.pending = OpenLine(
            record, Direction.OUT if sign == "1" else Direction.IN, units, booking, value, references=[*given],
            code=record["concept"] + record["own"], source=[record.text.rstrip()],
        )  # fmt: skip

    def _totals(self, record: Record) -> None:
        self.flush()
        draft = self.draft
        if draft is None:
            return
        self.differs(record, "33", record["bank"] + record["branch"] + record["account"], self.key)
        currency = self._currency(record)
        if currency is not None and currency != draft.currency:
            self.findings.add("currency_differs", line=record.line, field="33", found=currency, expected=draft.currency or "?")
        draft.closing_balance, draft.closing_line = self._balance(record, "33"), record.line
        outs, ins = self.count(record["debits"], record, "33"), self.count(record["credits"], record, "33")
        totals = draft.totals
        if outs is not None and ins is not None:
            totals.line_count = Declared(outs + ins, record.line)
            if all(line.amount for line in draft.lines):
                totals.out_count, totals.in_count = Declared(outs, record.line), Declared(ins, record.line)
        out_units = self.units(record["debit"], _DECIMALS, record, "33")
        in_units = self.units(record["credit"], _DECIMALS, record, "33")
        totals.out_total = None if out_units is None else Declared(out_units, record.line)
        totals.in_total = None if in_units is None else Declared(in_units, record.line)
        self.finish()

    def _end(self, record: Record) -> None:
        self.cut("the end record", record.line)
        self.ended = True
        declared = self.count(record["records"], record, "88")
        # banks count with or without the equivalents (24), and some count the end record itself
        known = {self.counted, self.counted - self.equivalents, self.counted + 1}
        if declared is not None and declared != self.counted and declared in known:
            self.findings.add("record_count", line=record.line, field="88", declared=declared, found=self.counted)
        elif declared is not None and declared not in known:
            self.findings.add(
                "control_count", line=record.line, field="88", what="number of records", what_zh="记录数",
                declared=declared, found=self.counted,
            )  # fmt: skip
