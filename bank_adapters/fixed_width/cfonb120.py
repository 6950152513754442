"""CFONB120 (France): records 01 old balance, 04 movement, 05 its details, 07 new balance, of 120 columns.

Amounts are 13 digits and an overpunched one that carries the sign (``{A-I`` credit, ``}J-R`` debit); column 20 says how many
of them are decimals. The format declares no counts: the balance identity alone holds a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bank_adapters.findings import Findings
from bank_adapters.fixed_width.engine import Columns, FixedWidthReader, OpenLine, Record, fixed_records, signed_money
from bank_adapters.model import Direction, Statement
from bank_adapters.references import meaningful
from money import Money

WIDTH = 120
_HEAD = re.compile(r"\s*0[1457][0-9A-Z]{5}.{4}[0-9A-Z]{5}[A-Z]{3}[0-9]", re.ASCII)
_KEY: Columns = {"bank": (3, 7), "branch": (12, 16), "currency": (17, 19), "decimals": (20, 20), "account": (22, 32)}
_BALANCE: Columns = {**_KEY, "date": (35, 40), "amount": (91, 104)}
_COLUMNS: dict[str, Columns] = {
    "01": _BALANCE,
    "04": {
        **_KEY, "internal": (8, 11), "code": (33, 34), "date": (35, 40), "value": (43, 48), "label": (49, 79),
        "number": (82, 88), "amount": (91, 104), "reference": (105, 120),
    },
    "05": {**_KEY, "qualifier": (46, 48), "text": (49, 118)},
    "07": _BALANCE,
}  # fmt: skip
#: Qualifiers of a 05: name and account of who paid and of who was paid.
_PAYER, _PAYEE = frozenset({"NPY", "CPY"}), frozenset({"NBE", "CBE"})
_POSITIVE = {sign: str(digit) for digit, sign in enumerate("{ABCDEFGHI")}
_NEGATIVE = {sign: str(digit) for digit, sign in enumerate("}JKLMNOPQR")}
_AMOUNT = re.compile(r"[0-9 ]{0,13}[0-9{A-I}J-R]", re.ASCII)


def is_cfonb120(head: str) -> bool:
    """Whether the text begins with a record of the four kinds: bank, branch, currency and its decimals in their places."""
    return bool(_HEAD.match(head))


def read_cfonb120(lines: Iterable[str], findings: Findings) -> tuple[Statement, ...]:
    """Statements (an 01 and its 07) of a CFONB120 file's lines."""
    reader = _Reader(findings)
    last = 1
    for record in fixed_records(lines, WIDTH, findings):
        reader.take(record)
        last = record.line
    reader.cut("the end of the file", last)
    return reader.statements()


class _Reader(FixedWidthReader):
    bank = ""
    decimals = 2
    remittance_goes_on = False  # the last 05 held the first half of the purpose

    def take(self, record: Record) -> None:
        code = record.text[:2]
        columns = _COLUMNS.get(code)
        if columns is None:
            self.unknown(record)
            return
        record.columns = columns
        if code == "01":
            self._old_balance(record)
        elif code == "05" and self.line_refused:
            return
        elif self.draft is None or (code == "05" and self.pending is None):
            self.misplaced(record, code)
        else:
            self.differs(record, code, record["account"], self.draft.account or "")
            self.differs(record, code, record["bank"], self.bank, "bank_differs")
            if code == "04":
                self._movement(record)
            elif code == "05" and self.pending is not None:
                self._detail(record, self.pending)
            elif code == "07":
                self._new_balance(record)

    def _old_balance(self, record: Record) -> None:
        self.cut("another old balance", record.line)
        draft = self.open(record)
        self.bank = record["bank"]
        draft.account = record["account"] or None
        draft.currency = self.currency(record["currency"], record)
        self.decimals = self._decimals(record)
        draft.opening_date = self.day(record["date"], record, "01", day_first=True)
        draft.opening_balance, draft.opening_line = self._signed(record, "01"), record.line

    def _new_balance(self, record: Record) -> None:
        self.flush()
        if self.draft is None:
            return
        self.draft.closing_date = self.day(record["date"], record, "07", day_first=True)
        self._same_currency(record, "07")
        self.decimals = self._decimals(record)
        self.draft.closing_balance, self.draft.closing_line = self._signed(record, "07"), record.line
        self.finish()

    def _decimals(self, record: Record) -> int:
        text = record["decimals"]
        if text in ("0", "1", "2", "3"):
            return int(text)
        self.findings.add(
            "field_unreadable", line=record.line, field="decimals", name="decimals", name_zh="小数位数", excerpt=text
        )
        return 2

    def _signed(self, record: Record, field: str) -> Money | None:
        """The overpunched amount, negative for a debit."""
        found = self._amount(record, field)
        if found is None:
            return None
        return signed_money(found[1], self.draft.currency if self.draft else None, negative=found[0] is Direction.OUT)

    def _amount(self, record: Record, field: str) -> tuple[Direction, int] | None:
        text = record["amount"]
        if not _AMOUNT.fullmatch(text):
            self.findings.add("amount_unreadable", line=record.line, field=field, excerpt=text)
            return None
        last = text[-1]
        digit = _POSITIVE.get(last) or _NEGATIVE.get(last)
        if digit is None:  # an ordinary digit carries no sign
            self.findings.add("direction_unreadable", line=record.line, field=field, excerpt=text)
            return None
        units = self.units((text[:-1].replace(" ", "0") + digit).rjust(14, "0"), self.decimals, record, field)
        return None if units is None else (Direction.IN if last in _POSITIVE else Direction.OUT, units)

    def _same_currency(self, record: Record, field: str) -> None:
        expected = self.draft.currency if self.draft else None
        if record["currency"] != expected:
            self.findings.add(
                "currency_differs", line=record.line, field=field, found=record["currency"], expected=expected or "?"
            )

    def _movement(self, record: Record) -> None:
        self.flush()
        self.remittance_goes_on = False
        if self.draft is None:
            return
        self._same_currency(record, "04")
        self.decimals = self._decimals(record)
        amount = self._amount(record, "04")
        booking = self.day(record["date"], record, "04", day_first=True)
        value = self.day(record["value"], record, "04", day_first=True) if record["value"] else None
        if amount is None:
            self.refuse_line()
            return
        direction, units = amount
        number = record["number"]
        self.pending = OpenLine(
            record, direction, units, booking, value, meaningful(record["reference"]), code=record["code"] or None,
            references=[number if number.strip("0") else None], texts=[record["label"]], source=[record.text.rstrip()],
        )  # fmt: skip

    def _detail(self, record: Record, line: OpenLine) -> None:
        """A 05 by its qualifier: names and accounts, references, further text."""
        line.source.append(record.text.rstrip())
        qualifier, text, raw = record["qualifier"], record["text"], record.text[48:118]
        goes_on, self.remittance_goes_on = self.remittance_goes_on, qualifier == "LCC"
        if qualifier in _PAYER | _PAYEE:
            self._party(qualifier, text, line)
        elif qualifier == "RCN":  # reference of the client, then the purpose
            line.end_to_end_reference = meaningful(raw[:35])
            line.texts.append(raw[35:].strip())
        elif qualifier == "RUM":  # the mandate of a direct debit, then whether it is the first, a further or the last one
            line.references.append(meaningful(raw[:35]))
        elif qualifier == "REF":
            line.references.append(text)
        elif qualifier == "LCS":  # the purpose as a structured reference
            line.references.append(text)
            line.texts.append(text)
        elif qualifier == "LC2" and goes_on and line.texts:  # second half of the 140 characters LCC began, cut anywhere
            line.texts[-1] += raw
        elif qualifier in ("LIB", "LCC", "LC2"):
            line.texts.append(raw)

    def _party(self, qualifier: str, text: str, line: OpenLine) -> None:
        """The payer of money in and the payee of money out; a return names only the other one."""
        other_side = qualifier in (_PAYER if line.direction is Direction.IN else _PAYEE)
        if qualifier in ("NPY", "NBE"):
            line.name = text or line.name if other_side else line.name or text or None
        else:
            line.account = text or line.account if other_side else line.account or text or None
