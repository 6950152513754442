"""In which form a bank takes its instructions: our self-proving CSV, pain.001, or a table in the bank's own columns.

The table is described by a profile (config/instruction_layouts/): columns in order with the bank's own headings, encoding,
separator, amounts in yuan or in fen, and a summary line first if the bank wants one. It carries no digest of its own; the
``.sha256`` file sent beside every instruction file does.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bank_adapters.instructions import InstructionFile, InstructionKind, PaymentOrder, write_instruction_csv
from bank_adapters.payment_initiation import Initiator, write_pain001
from bank_adapters.writing.refusal import WritingRefused, single_line
from money import Money

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class InstructionFormat(StrEnum):
    """What the bytes are; the value is the word of config/banks.yaml."""

    CSV = "csv"  # bank_adapters.instructions: header, rows, trailer with digest
    PAIN001 = "pain.001"  # ISO 20022 pain.001.001.09
    TABLE = "table"  # the bank's own columns


class OrderField(StrEnum):
    """What a column of a table may hold."""

    ROW = "row"  # 1, 2, 3 ...
    REFERENCE = "reference"
    DEBIT_ACCOUNT = "debit_account"
    DEBIT_ACCOUNT_NAME = "debit_account_name"
    AMOUNT = "amount"
    CURRENCY = "currency"
    BENEFICIARY_NAME = "beneficiary_name"
    BENEFICIARY_ACCOUNT = "beneficiary_account"
    BENEFICIARY_BANK = "beneficiary_bank"
    PURPOSE = "purpose"
    BUSINESS_DATE = "business_date"


class SummaryField(StrEnum):
    """What the summary line of a table may hold."""

    FILE = "file"  # the file's name without its ending
    KIND = "kind"
    BUSINESS_DATE = "business_date"
    SEQUENCE = "sequence"
    COUNT = "count"
    CURRENCY = "currency"
    TOTAL = "total"


class AmountForm(StrEnum):
    YUAN = "yuan"  # 1234.56
    FEN = "fen"  # 123456


class DateForm(StrEnum):
    DASHED = "dashed"  # 2026-03-02
    COMPACT = "compact"  # 20260302


@dataclass(frozen=True, slots=True)
class OrderColumn:
    """A column of a table: the bank's heading and what stands under it."""

    name: str
    field: OrderField


@dataclass(frozen=True, slots=True)
class TableForm:
    """A bank's own table. ``header``: whether headings are written; ``summary``: the fields of a first line, none for no line."""

    id: str
    columns: tuple[OrderColumn, ...]
    encoding: str = "utf-8"
    delimiter: str = ","
    ending: str = "csv"
    header: bool = True
    amounts: AmountForm = AmountForm.YUAN
    dates: DateForm = DateForm.DASHED
    summary: tuple[SummaryField, ...] = ()


@dataclass(frozen=True, slots=True)
class InstructionLayout:
    """How one bank takes its instruction files. ``initiator`` belongs to pain.001, ``table`` to a bank's own table."""

    format: InstructionFormat = InstructionFormat.CSV
    initiator: Initiator | None = None
    table: TableForm | None = None

    def __post_init__(self) -> None:
        if (self.format is InstructionFormat.PAIN001) != (self.initiator is not None):
            raise ValueError("pain.001 needs an initiator, and nothing else takes one")
        if (self.format is InstructionFormat.TABLE) != (self.table is not None):
            raise ValueError("a table needs its form, and nothing else takes one")

    @property
    def ending(self) -> str:
        """The ending of the files' names, without the dot."""
        if self.table is not None:
            return self.table.ending
        return "xml" if self.format is InstructionFormat.PAIN001 else "csv"


#: What a bank gets that has agreed on nothing else.
SELF_PROVING = InstructionLayout()


def write_instructions(file: InstructionFile, layout: InstructionLayout, created_at: datetime) -> bytes:
    """The file's bytes in the bank's layout. Raises WritingRefused for what the layout cannot carry."""
    if layout.initiator is not None:
        return write_pain001(file, layout.initiator, created_at)
    if layout.table is not None:
        return _write_table(file, layout.table)
    return write_instruction_csv(file)


def why_unwritable(order: PaymentOrder, layout: InstructionLayout, created_at: datetime) -> str | None:
    """Why the layout cannot carry an order, None when it can. Asked before money is put in transit for it."""
    sample = InstructionFile("SAMPLE", InstructionKind.REFUND, created_at.date(), 1, (order,))
    try:
        write_instructions(sample, layout, created_at)
    except WritingRefused as problem:
        return str(problem)
    return None


_COLUMNS: Mapping[OrderField, Callable[[PaymentOrder], str]] = {
    OrderField.REFERENCE: lambda order: order.end_to_end_reference,
    OrderField.DEBIT_ACCOUNT: lambda order: order.debit_account,
    OrderField.DEBIT_ACCOUNT_NAME: lambda order: order.debit_account_name,
    OrderField.CURRENCY: lambda order: order.amount.currency,
    OrderField.BENEFICIARY_NAME: lambda order: order.beneficiary_name,
    OrderField.BENEFICIARY_ACCOUNT: lambda order: order.beneficiary_account,
    OrderField.BENEFICIARY_BANK: lambda order: order.beneficiary_bank,
    OrderField.PURPOSE: lambda order: order.purpose,
}


def _write_table(file: InstructionFile, form: TableForm) -> bytes:
    out = io.StringIO()
    rows = csv.writer(out, delimiter=form.delimiter, lineterminator="\r\n")
    day = file.business_date.strftime("%Y%m%d") if form.dates is DateForm.COMPACT else file.business_date.isoformat()
    if form.summary:
        facts = {
            SummaryField.FILE: file.message_id,
            SummaryField.KIND: InstructionKind(file.kind).value,
            SummaryField.BUSINESS_DATE: day,
            SummaryField.SEQUENCE: str(file.sequence),
            SummaryField.COUNT: str(len(file.orders)),
            SummaryField.CURRENCY: file.currency,
            SummaryField.TOTAL: _amount(file.total, form),
        }
        rows.writerow([facts[field] for field in form.summary])
    if form.header:
        rows.writerow([column.name for column in form.columns])
    for number, order in enumerate(file.orders, 1):
        own = {OrderField.ROW: str(number), OrderField.AMOUNT: _amount(order.amount, form), OrderField.BUSINESS_DATE: day}
        rows.writerow([_cell(own.get(column.field) or _COLUMNS[column.field](order), column.name) for column in form.columns])
    try:
        return out.getvalue().encode(form.encoding)
    except UnicodeEncodeError as problem:
        raise WritingRefused(f"{problem.object[problem.start : problem.end]!r} cannot be written in {form.encoding}") from problem


def _amount(amount: Money, form: TableForm) -> str:
    return str(amount.minor_units) if form.amounts is AmountForm.FEN else amount.plain


def _cell(text: str, name: str) -> str:
    """A cell no spreadsheet would run. The bank's table has no way to mark one, so such a text is refused rather than changed."""
    text = single_line(text, name)
    if text.startswith(_FORMULA_STARTS):
        raise WritingRefused(f"{name} {text!r} would be run as a formula by a spreadsheet")
    return text
