"""CODA 2 (Febelfin): records 0, 1, 2.1-2.3, 3.1-3.3, 4, 8, 9 of 128 columns.

Only movements with detail number 0000 move money; the others detail a globalised one. The trailer's record count leaves out
records 0, 4 and 9; its turnovers are sums of the movements by sign. Amounts have three decimals by the standard: one that is no
whole number of the currency's minor units is kept exactly (``finer``) and refuses its statement.
The communication of a movement is one text over 2.1, 2.2 and 2.3, cut at their columns wherever a word may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bank_adapters.findings import Findings
from bank_adapters.fixed_width.engine import Columns, FixedWidthReader, OpenLine, Record, fixed_records, signed_money
from bank_adapters.model import Direction, Statement
from bank_adapters.references import meaningful
from money import Money
from money.amount import format_minor_units

WIDTH = 128
_DECIMALS = 3
_HEAD = re.compile(r"\s*00000[0-9]{6}[0-9]{3}05[ D]", re.ASCII)

_COLUMNS: dict[str, Columns] = {
    "0": {"duplicate": (17, 17), "reference": (25, 34), "version": (128, 128)},
    "1": {
        "structure": (2, 2), "paper": (3, 5), "account": (6, 42), "sign": (43, 43), "amount": (44, 58), "date": (59, 64),
        "holder": (65, 90), "number": (126, 128),
    },
    "21": {
        "sequence": (3, 6), "detail": (7, 10), "bank_reference": (11, 31), "sign": (32, 32), "amount": (33, 47),
        "value": (48, 53), "code": (54, 61), "kind": (62, 62), "text": (63, 115), "entry": (116, 121),
    },
    "22": {"sequence": (3, 6), "detail": (7, 10), "text": (11, 63), "customer_reference": (64, 98)},
    "23": {"sequence": (3, 6), "detail": (7, 10), "account": (11, 44), "name": (48, 82), "text": (83, 125)},
    "31": {"sequence": (3, 6), "kind": (40, 40), "text": (41, 113)},
    "32": {"sequence": (3, 6), "text": (11, 115)},
    "33": {"sequence": (3, 6), "text": (11, 100)},
    "8": {"account": (5, 41), "sign": (42, 42), "amount": (43, 57), "date": (58, 63)},
    "9": {"records": (17, 22), "debit": (23, 37), "credit": (38, 52), "more": (128, 128)},
}  # fmt: skip
_COUNTERPARTY = "001"  # type of structured information: name (3.1), street (3.2) and place (3.3) of the counterparty
_MANDATE, _OF_A_DEBIT = slice(47, 82), slice(82, 144)  # in a communication of type 127, counted from its type
_BEFORE_THE_THIRD = 53 + 53  # columns of the communication in 2.1 and 2.2
_CORRECTIONS = frozenset({"49", "99"})  # operation of a transaction code: cancellation or correction


def is_coda(head: str) -> bool:
    """Whether the text begins with a CODA header: date of creation, bank, application 05."""
    return bool(_HEAD.match(head))


def read_coda(lines: Iterable[str], findings: Findings) -> tuple[Statement, ...]:
    """Statements of a CODA file's lines."""
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
        self.in_file = False
        self.counted = 0
        self.turnover = {Direction.IN: 0, Direction.OUT: 0}  # in thousandths, as written
        self.group: list[int] = []  # indexes of the statements since the header
        self.reference: str | None = None
        self.structured = False
        self.communication = ""  # of the open movement, as wide as its columns
        self.free = True  # the open information records 3.1 to 3.3 hold free text
        self.more_follow: Record | None = None

    def take(self, record: Record) -> None:
        code = record.text[0]
        if code in "23":
            code = record.text[:2]
        if code == "4":
            return  # free messages of the bank to its customer
        columns = _COLUMNS.get(code)
        if columns is None:
            self.unknown(record)
            return
        record.columns = columns
        if code not in "09":
            self.counted += 1
        if code == "0":
            self._header(record)
        elif not self.in_file:
            self.misplaced(record, code)
        elif code == "1":
            self._old_balance(record)
        elif code == "8":
            self._new_balance(record)
        elif code == "9":
            self._trailer(record)
        elif self.draft is None:
            self.misplaced(record, code)
        elif code == "21":
            self._movement(record)
        elif self.pending is None:
            if not self.line_refused:
                self.misplaced(record, code)
        else:
            self._further(code, record, self.pending)

    def end_of_file(self, line: int) -> None:
        self.cut("the end of the file", line)
        if self.in_file:
            self.findings.statement = None
            self.findings.add("truncated", line=line, field="9", reason="the trailer record 9 is missing")
        elif self.more_follow is not None:
            self.findings.add("part_missing", line=line, field="9")

    def _header(self, record: Record) -> None:
        self.cut("a new header", record.line)
        if self.in_file:
            self.findings.add("truncated", line=record.line, field="9", reason="the trailer record 9 is missing")
        self.in_file, self.counted, self.group, self.more_follow = True, 0, [], None
        self.turnover = {Direction.IN: 0, Direction.OUT: 0}
        self.reference = record["reference"] or None
        if record["version"] not in ("", "1", "2"):
            self.findings.add("field_unreadable", line=record.line, field="0", name="version", excerpt=record["version"])
        if record["duplicate"] == "D":
            self.findings.add("copy", line=record.line, field="0", indicator="D")

    def _old_balance(self, record: Record) -> None:
        self.cut("an old balance", record.line)
        draft = self.open(record)
        account, currency = _account(record["structure"], record.text[5:42])
        draft.account = account or None
        draft.currency = self.currency(currency, record)
        draft.statement_id, draft.sequence = self.reference, record["number"] or record["paper"] or None
        draft.account_name = record["holder"] or None
        draft.opening_date = self.day(record["date"], record, "1", day_first=True)
        draft.opening_line = record.line
        draft.opening_balance, draft.opening_finer = self._balance(record, "1")

    def _new_balance(self, record: Record) -> None:
        draft = self.draft
        if draft is None:
            self.misplaced(record, "8")
            return
        self.flush()
        draft.closing_line = record.line
        draft.closing_balance, draft.closing_finer = self._balance(record, "8")
        draft.closing_date = self.day(record["date"], record, "8", day_first=True)
        account = record["account"].split()[:1]
        if account and account[0] != draft.account:
            self.differs(record, "8", account[0], draft.account or "", "closing_account_differs")
        self.group.append(len(self.drafts))
        self.finish()

    def _balance(self, record: Record, field: str) -> tuple[Money | None, str | None]:
        """The balance, and its exact text where it is finer than a minor unit."""
        figure = self.figure(record["amount"], _DECIMALS, record, field)
        if record["sign"] not in ("0", "1"):
            self.findings.add("direction_unreadable", line=record.line, field=field, excerpt=record["sign"])
            return None, None
        if figure is None:
            return None, None
        negative = record["sign"] == "1"
        finer = f"-{figure.finer}" if figure.finer and negative else figure.finer
        return signed_money(figure.units, self.draft.currency if self.draft else None, negative=negative), finer

    def _movement(self, record: Record) -> None:
        if record["detail"] != "0000":
            if self.pending is None:
                if not self.line_refused:
                    self.misplaced(record, "21")
                return
            self.pending.references.append(record["bank_reference"])
            self.structured = record["kind"] == "1"
            if self.structured:
                self._structured(record.text[62:115], self.pending)
            self.pending.source.append(record.text.rstrip())
            return
        self.flush()
        figure = self.figure(record["amount"], _DECIMALS, record, "21")
        if record["sign"] not in ("0", "1"):
            self.findings.add("direction_unreadable", line=record.line, field="21", excerpt=record["sign"])
            figure = None
        if figure is None:
            self.refuse_line()
            return
        direction = Direction.IN if record["sign"] == "0" else Direction.OUT
        self.turnover[direction] += int(record["amount"])
        entry = self.day(record["entry"], record, "21", day_first=True)
        value = record["value"]
        value_date = self.day(value, record, "21", day_first=True) if value.strip("0") else None
        self.pending = OpenLine(
            record, direction, figure.units, entry, value_date, meaningful(record["bank_reference"]), code=record["code"],
            reversal=record["code"][3:5] in _CORRECTIONS, source=[record.text.rstrip()],
            finer=figure.finer,
        )  # fmt: skip
        self.structured, self.free = record["kind"] == "1", True
        self.communication = record.text[62:115]

    def flush(self) -> None:
        """Make the statement line of the open movement, whose communication is whole now."""
        if self.pending is not None:
            text = self.communication
            if self.structured:
                text = self._structured(text, self.pending)
            self.pending.texts.insert(0, text)
        super().flush()

    def _structured(self, text: str, line: OpenLine) -> str:
        """A three-digit type and its content: 101 and 102 are the payee's own reference of 12 digits, 127 a direct debit.

        What a person reads of it.
        """
        if text[:3] in ("101", "102"):
            line.references.append(text[3:15].strip())
        if text[:3] == "127":
            line.references.append(text[_MANDATE].strip())
            return text[_OF_A_DEBIT]
        return text

    def _further(self, code: str, record: Record, line: OpenLine) -> None:
        line.source.append(record.text.rstrip())
        if code in ("22", "23") and record["detail"] != "0000":
            if code == "22":
                line.references.append(record["customer_reference"])
            return
        if code == "22":
            line.end_to_end_reference = meaningful(record["customer_reference"])
            self.communication += record.text[10:63]
        elif code == "23":
            account = record["account"].split()
            line.account = account[0] if account else None
            line.name = record["name"] or None
            self.communication = self.communication.ljust(_BEFORE_THE_THIRD) + record.text[82:125]
        elif code == "31":
            self.free = record["kind"] == "0"
            if self.free:
                line.texts.append(record.text[40:113])
            elif record["text"].startswith(_COUNTERPARTY):
                line.name = line.name or record["text"].removeprefix(_COUNTERPARTY).strip() or None
        elif self.free:
            first, last = record.columns["text"]
            line.texts.append(line.texts.pop() + record.text[first - 1 : last] if line.texts else record["text"])

    def _trailer(self, record: Record) -> None:
        self.cut("the trailer", record.line)
        self.in_file = False
        self.more_follow = record if record["more"] == "1" else None
        concerned: list[int | None] = [*self.group] or [None]
        for index in concerned:
            self.findings.statement = index
            records = self.count(record["records"], record, "9")
            if records is not None and records != self.counted:
                self.findings.add(
                    "control_count", line=record.line, field="9", what="number of records", what_zh="记录数",
                    declared=records, found=self.counted,
                )  # fmt: skip
            self._turnover(record, "debit", Direction.OUT, ("sum of lines out", "支出合计"))
            self._turnover(record, "credit", Direction.IN, ("sum of lines in", "收入合计"))
        self.findings.statement = None

    def _turnover(self, record: Record, column: str, direction: Direction, words: tuple[str, str]) -> None:
        declared = self.count(record[column], record, "9")
        if declared is not None and declared != self.turnover[direction]:
            self.findings.add(
                "control_total", line=record.line, field="9", what=words[0], what_zh=words[1],
                declared=format_minor_units(declared, _DECIMALS), found=format_minor_units(self.turnover[direction], _DECIMALS),
            )  # fmt: skip


def _account(structure: str, text: str) -> tuple[str, str]:
    """Account and currency by structure: 0 Belgian number (currency in columns 19-21), 1-3 others (columns 40-42)."""
    if structure in ("", "0"):
        return text[:12].strip(), text[13:16].strip()
    return text[:34].strip().split(" ")[0], text[34:37].strip()
