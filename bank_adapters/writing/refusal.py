"""What a format cannot carry is refused, never bent."""

from __future__ import annotations

import unicodedata

from bank_adapters.model import Direction, LineStatus, Statement
from money import Money


class WritingRefused(ValueError):
    """This statement says something the format cannot carry without loss."""


def single_line(value: str | None, what: str) -> str:
    """``value`` (or '') when it is one line without control characters and blanks at its ends, else WritingRefused."""
    if not value:
        return ""
    if value != value.strip() or any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in value):
        raise WritingRefused(f"{what} {value!r} must be one line of text without blanks at its ends")
    return value


def closed_statement(statement: Statement, format_name: str) -> tuple[Money, Money]:
    """The opening and closing balance of a statement with both, both dates, an account and only booked lines."""
    opening, closing = statement.opening_balance, statement.closing_balance
    if opening is None or closing is None or statement.opening_date is None or statement.closing_date is None:
        raise WritingRefused(f"a {format_name} statement needs both balances with their dates")
    if not statement.account or not statement.currency:
        raise WritingRefused(f"a {format_name} statement needs an account and a currency")
    for line in statement.lines:
        if line.status is not LineStatus.BOOKED:
            raise WritingRefused(f"{format_name} carries booked lines only")
        if line.direction is Direction.NONE or line.finer:
            raise WritingRefused(f"{format_name} carries lines that move whole minor units in or out")
        if line.amount.currency != statement.currency or opening.currency != statement.currency:
            raise WritingRefused(f"every amount of a {format_name} statement is in its one currency")
        if line.booking_date is None:
            raise WritingRefused(f"a {format_name} line needs a booking date")
    return opening, closing
