"""Payment instructions for a bank as a file that proves itself: header, rows, trailer with count, total and digest.

Layout (UTF-8, CRLF, comma):

    H,<bank>,<kind>,<business date>,<sequence>,<count>,<currency>,<total>
    R,<end-to-end reference>,<debit account>,<amount>,<currency>,
        <beneficiary name>,<beneficiary account>,<beneficiary bank>,<purpose>   (one line)
    T,<count>,<total>,<SHA-256 of every byte before this line>

Cells that a spreadsheet would run as a formula (= + - @ TAB CR at the start) carry a leading apostrophe; a text that itself
begins with an apostrophe carries a second one, so reading undoes it exactly.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from bank_adapters.amounts import AmountUnreadable, parse_point_amount
from bank_adapters.writing.refusal import WritingRefused, single_line
from money import Money, exponent_of
from money.amount import AmountRefused

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
_HEADER_CELLS, _ROW_CELLS, _TRAILER_CELLS = 8, 9, 4
_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)


class InstructionKind(StrEnum):
    """What the orders of a file do."""

    DISBURSEMENT = "disbursement"  # released money to the institution's settlement account
    REFUND = "refund"  # unreleased money back to payers


class InstructionFileRefused(ValueError):
    """This is not an instruction file as written: cut short, altered, or inconsistent; the message says where."""


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """One payment in the bank's terms. ``end_to_end_reference`` comes back on the statement line that shows it;
    ``debit_account`` is the custody account to pay out of, ``debit_account_name`` the name it is kept under ('' where the format
    does not carry it).
    """

    end_to_end_reference: str
    debit_account: str
    amount: Money
    beneficiary_name: str
    beneficiary_account: str
    beneficiary_bank: str
    purpose: str
    debit_account_name: str = ""

    def __post_init__(self) -> None:
        if self.amount.minor_units <= 0:
            raise WritingRefused(f"payment order {self.end_to_end_reference} must pay more than nothing, not {self.amount}")
        if not self.end_to_end_reference or not self.debit_account or not self.beneficiary_account:
            raise WritingRefused("a payment order needs an end-to-end reference, a debit account and a beneficiary account")


@dataclass(frozen=True, slots=True)
class InstructionFile:
    """All orders of one kind for one bank and business day. ``sequence`` counts that bank's files of the day from 1."""

    bank_code: str
    kind: InstructionKind | str
    business_date: date
    sequence: int
    orders: tuple[PaymentOrder, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", InstructionKind(self.kind))
        object.__setattr__(self, "orders", tuple(self.orders))
        references = [order.end_to_end_reference for order in self.orders]
        if len(set(references)) != len(references):
            raise WritingRefused("two orders of one instruction file carry the same end-to-end reference")
        if len({order.amount.currency for order in self.orders}) > 1:
            raise WritingRefused("all orders of one instruction file are in one currency")

    @property
    def message_id(self) -> str:
        """The file's name without its ending: what a bank's answer refers to."""
        return f"{self.bank_code}-{InstructionKind(self.kind).value}-{self.business_date:%Y%m%d}-{self.sequence:02d}"

    @property
    def currency(self) -> str:
        return self.orders[0].amount.currency if self.orders else "CNY"

    @property
    def total(self) -> Money:
        """Sum of all orders."""
        return Money(sum(order.amount.minor_units for order in self.orders), self.currency)


def write_instruction_csv(file: InstructionFile) -> bytes:
    """The file's bytes. Raises WritingRefused for text that is not one line."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    count, total = str(len(file.orders)), file.total.plain
    rows.writerow(
        ["H", _safe(file.bank_code), InstructionKind(file.kind).value, file.business_date.isoformat(), str(file.sequence),
         count, file.currency, total]
    )  # fmt: skip
    for order in file.orders:
        texts = (order.beneficiary_name, order.beneficiary_account, order.beneficiary_bank, order.purpose)
        reference, debit_account = _safe(order.end_to_end_reference), _safe(order.debit_account)
        rows.writerow(["R", reference, debit_account, order.amount.plain, order.amount.currency, *map(_safe, texts)])
    body = out.getvalue().encode("utf-8")
    return body + f"T,{count},{total},{hashlib.sha256(body).hexdigest()}\r\n".encode("ascii")


def read_instruction_csv(data: bytes) -> InstructionFile:
    """The instruction file in ``data``, its digest, counts and totals verified. Raises InstructionFileRefused."""
    body, trailer = _split_trailer(data)
    try:
        rows = list(csv.reader(io.StringIO(body.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as problem:
        raise InstructionFileRefused(f"not UTF-8 rows of cells: {problem}") from problem
    if not rows or len(rows[0]) != _HEADER_CELLS or rows[0][0] != "H":
        raise InstructionFileRefused("line 1 is not a header (H,bank,kind,date,sequence,count,currency,total)")
    _, bank_code, kind, day, sequence, count, currency, total = rows[0]
    if not _WHOLE.fullmatch(sequence) or kind not in list(InstructionKind):
        raise InstructionFileRefused(f"line 1: kind {kind!r} or sequence {sequence!r} is not known")
    try:
        business_date = date.fromisoformat(day)
        orders = tuple(_order(row, number, currency) for number, row in enumerate(rows[1:], 2))
        file = InstructionFile(_unsafe(bank_code), kind, business_date, int(sequence), orders)
    except WritingRefused as problem:
        raise InstructionFileRefused(str(problem)) from problem
    except InstructionFileRefused:
        raise
    except ValueError as problem:
        raise InstructionFileRefused(f"line 1: {problem}") from problem
    for place, found_count, found_total in (("header", count, total), ("trailer", trailer[1], trailer[2])):
        if found_count != str(len(orders)) or found_total != file.total.plain:
            raise InstructionFileRefused(
                f"the {place} declares {found_count} orders of {found_total}; the rows are {len(orders)} of {file.total.plain}"
            )
    return file


def _split_trailer(data: bytes) -> tuple[bytes, list[str]]:
    if not data.endswith(b"\r\n"):
        raise InstructionFileRefused("the file is cut short: the trailer's line does not end")
    at = data.rfind(b"\r\n", 0, len(data) - 2) + 2
    body, trailer = data[:at], data[at:-2].decode("utf-8", "replace").split(",")
    if at < 2 or len(trailer) != _TRAILER_CELLS or trailer[0] != "T":
        raise InstructionFileRefused("the last line is not a trailer (T,count,total,digest): the file is cut short")
    if hashlib.sha256(body).hexdigest() != trailer[3]:
        raise InstructionFileRefused("the digest in the trailer does not fit the lines before it: the file was altered")
    return body, trailer


def _order(row: list[str], number: int, currency: str) -> PaymentOrder:
    if len(row) != _ROW_CELLS or row[0] != "R":
        raise InstructionFileRefused(f"line {number} is not an order (R and eight cells)")
    _, reference, debit_account, amount, row_currency, name, account, bank, purpose = row
    if row_currency != currency:
        raise InstructionFileRefused(f"line {number} is in {row_currency}, the file in {currency}")
    try:
        money = Money(parse_point_amount(amount, exponent_of(currency)), currency)
    except (AmountUnreadable, AmountRefused) as problem:
        raise InstructionFileRefused(f"line {number}: amount {amount!r}: {problem}") from problem
    texts = map(_unsafe, (name, account, bank, purpose))
    return PaymentOrder(_unsafe(reference), _unsafe(debit_account), money, *texts)


def _safe(text: str) -> str:
    text = single_line(text, "instruction cell")
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _unsafe(cell: str) -> str:
    return cell.removeprefix("'")
