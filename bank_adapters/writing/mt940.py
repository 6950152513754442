"""MT940 customer statements (SWIFT standards, category 9), one message a statement, written in UTF-8.

Carried: account, currency, id, sequence, both balances with dates; per line value and booking date, direction, reversal
(RC, RD), amount, bank reference (``//``), end-to-end reference, counterparty and description in ``:86:`` as
``/EREF/ /BBAN/ /NAME/ /REMI/``. Not carried by the format: booking time, running balance, account name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from bank_adapters.model import Direction, Statement, StatementLine
from bank_adapters.writing.refusal import WritingRefused, closed_statement, single_line
from money import Money

WIDTH = 65  # characters of one line of :86:, which is 6*65x: its tag is none of them
SHORTEST_FULL_LINE = 60  # readers join lines at least this long without a blank
_KEYWORD = re.compile(r"/[A-Z]{2,5}/")
_TYPE = re.compile(r"[NFS][A-Z0-9]{3}", re.ASCII)


def write_mt940(statements: Iterable[Statement]) -> bytes:
    """One MT940 message a statement. Raises WritingRefused for what MT940 cannot carry."""
    rows: list[str] = []
    for statement in statements:
        opening, closing = closed_statement(statement, "MT940")
        rows.append(f":20:{_field(statement.statement_id, 'statement id') or 'STATEMENT'}")
        rows.append(f":25:{_field(statement.account, 'account')}")
        rows.append(f":28C:{_sequence(statement)}/{statement.page or 1}")
        rows.append(f":60F:{_balance(opening, statement.opening_date)}")
        for line in statement.lines_in_booking_order:
            rows.append(_line(line))
            rows.extend(_details(line))
        rows.append(f":62F:{_balance(closing, statement.closing_date)}")
        rows.append("-")
    return "".join(f"{row}\r\n" for row in rows).encode("utf-8")


def _field(value: str | None, what: str) -> str:
    text = single_line(value, what)
    if text.startswith(("-", ":")):
        raise WritingRefused(f"{what} {text!r} begins with a sign MT940 reserves")
    return text


def _sequence(statement: Statement) -> str:
    sequence = statement.sequence or "0"
    if not re.fullmatch(r"[0-9]{1,10}", sequence, re.ASCII):
        raise WritingRefused(f"statement sequence {sequence!r} is not a number, as :28C: needs")
    return sequence


def _date(day: date | None) -> str:
    if day is None or not 1980 <= day.year <= 2079:
        raise WritingRefused(f"{day} cannot be told by the two digits MT940 has for a year (1980-2079)")
    return f"{day:%y%m%d}"


def _amount(amount: Money) -> str:
    whole, _, fraction = abs(amount).plain.partition(".")
    return f"{whole},{fraction}"


def _balance(amount: Money, day: date | None) -> str:
    return f"{'D' if amount.minor_units < 0 else 'C'}{_date(day)}{amount.currency}{_amount(amount)}"


def _line(line: StatementLine) -> str:
    value, booking = line.value_date or line.booking_date, line.booking_date
    if value is None or booking is None or abs((booking - value).days) > 180:
        raise WritingRefused("booking and value date of an MT940 line lie within half a year of each other")
    mark = {Direction.IN: "C", Direction.OUT: "D"}[line.direction]
    if line.reversal:  # RC takes a credit back, so money goes out; RD gives a debit back
        mark = {Direction.IN: "RD", Direction.OUT: "RC"}[line.direction]
    code = line.transaction_code or "NTRF"
    if not _TYPE.fullmatch(code):
        raise WritingRefused(f"transaction code {code!r} is not an MT940 type such as NTRF")
    reference = single_line(line.bank_reference, "bank reference")
    tail = f"NONREF//{reference}" if reference else "NONREF"
    return f":61:{_date(value)}{booking:%m%d}{mark}{_amount(line.amount)}{code}{tail}"


def _details(line: StatementLine) -> list[str]:
    parts = (
        ("EREF", line.end_to_end_reference), ("BBAN", line.counterparty_account),
        ("NAME", line.counterparty_name), ("REMI", line.description),
    )  # fmt: skip
    text = ""
    for keyword, given in parts:
        value = single_line(given, keyword)
        if not value:
            continue
        if _KEYWORD.search(f"{value}/") or value.startswith("/") or value.endswith("/"):
            raise WritingRefused(f"{value!r} would be read as a keyword of :86:")
        text += f"/{keyword}/{value}"
    if not text:
        return []
    first, *more = _wrapped(text)
    return [f":86:{first}", *more]


def _wrapped(text: str) -> list[str]:
    """Lines of at most 65 characters that join again without loss: none begins with : - or a brace, none ends blank."""
    rows: list[str] = []
    while len(text) > WIDTH:
        cut = WIDTH
        while cut > SHORTEST_FULL_LINE and (text[cut] in ":-{ " or text[cut - 1] == " "):
            cut -= 1
        if text[cut] in ":-{ " or text[cut - 1] == " ":
            raise WritingRefused(f"no place to break {text[SHORTEST_FULL_LINE:WIDTH]!r} into lines of {WIDTH}")
        rows.append(text[:cut])
        text = text[cut:]
    return [*rows, text]
