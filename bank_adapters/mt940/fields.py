"""Grammars of single MT940/MT942 fields: balances, :61: statement lines, counts and sums."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from bank_adapters.amounts import exponent_or_two, parse_comma_amount
from bank_adapters.dates import ReadDate, read_mmdd_near, read_yymmdd
from bank_adapters.model import Direction
from bank_adapters.references import meaningful
from money import Money

#: ISO 4217's code for "no currency": a line of a fragment that never says one.
NO_CURRENCY = "XXX"


class FieldUnreadable(ValueError):
    """The content does not follow the field's grammar."""


@dataclass(frozen=True, slots=True)
class BalanceField:
    """:60a:, :62a:, :64:, :65: - mark, date, currency (some banks leave it out), amount."""

    amount: Money
    currency: str | None
    read_date: ReadDate


_BALANCE = re.compile(r"([CD])([0-9]{6})([A-Z]{3})?([0-9., ]+)", re.ASCII)


def read_balance(content: str, fallback_currency: str | None) -> BalanceField:
    """A balance. Raises FieldUnreadable, AmountUnreadable or DateUnreadable."""
    found = _BALANCE.fullmatch(content.strip())
    if found is None:
        raise FieldUnreadable(content)
    currency = found[3] or fallback_currency
    units = parse_comma_amount(found[4].strip(), exponent_or_two(currency))
    amount = Money(-units if found[1] == "D" else units, currency or NO_CURRENCY)
    return BalanceField(amount, found[3], read_yymmdd(found[2]))


@dataclass(slots=True)
class LineField:
    """:61: - subfields 1 to 8. ``direction`` is the effect: RC takes money out, RD puts it back."""

    value_date: ReadDate
    entry_date: ReadDate | None
    direction: str  # of a Direction
    reversal: bool
    expected: bool
    minor_units: int
    has_comma: bool
    type_code: str | None
    customer_reference: str | None
    bank_reference: str | None


#: value date, entry date, mark, funds code, amount, type, references. The funds code is the third letter of the currency,
#: so RDR800 is mark RD, funds R. A type begins with N, F or S; some banks send none.
_LINE = re.compile(
    r"([0-9]{6})([0-9]{4}| {4})?(R[CD]|E[CD]|[CD])([A-Z])?([0-9][0-9., ]*|,[0-9]+)([NFS][A-Z0-9 ]{3})?(.*)", re.ASCII | re.DOTALL
)
MARKS = {
    "C": (Direction.IN.value, False, False),
    "D": (Direction.OUT.value, False, False),
    "RC": (Direction.OUT.value, True, False),
    "RD": (Direction.IN.value, True, False),
    "EC": (Direction.IN.value, False, True),
    "ED": (Direction.OUT.value, False, True),
}


def read_line(content: str, exponent: int) -> LineField:
    """A :61: field. Raises FieldUnreadable, AmountUnreadable or DateUnreadable."""
    found = _LINE.fullmatch(content)
    if found is None:
        raise FieldUnreadable(content)
    value_text, entry_text, mark, _, amount, type_code, rest = found.groups()
    value_date, entry_date = read_days(value_text, entry_text)
    amount = amount.strip()
    has_comma = "," in amount or "." in amount
    units = parse_comma_amount(amount, exponent, comma_required=type_code is None)
    direction, reversal, expected = MARKS[mark]
    customer, _, bank = rest.partition("//")
    return LineField(
        value_date, entry_date, direction, reversal, expected, units, has_comma,
        type_code.strip() if type_code else None, meaningful(customer), meaningful(bank),
    )  # fmt: skip


@lru_cache(maxsize=4096)
def read_days(value_text: str, entry_text: str | None) -> tuple[ReadDate, ReadDate | None]:
    """Value date and entry date of a :61:; a file has few of them. Raises DateUnreadable."""
    value_date = read_yymmdd(value_text)
    return value_date, read_mmdd_near(entry_text, value_date.day) if entry_text else None


_FLOOR = re.compile(r"([A-Z]{3})([CD])?([0-9., ]+)", re.ASCII)


def read_floor(content: str) -> tuple[str, int]:
    """:34F: - currency and floor limit in minor units. Raises FieldUnreadable or AmountUnreadable."""
    found = _FLOOR.fullmatch(content.strip())
    if found is None:
        raise FieldUnreadable(content)
    return found[1], parse_comma_amount(found[3].strip(), exponent_or_two(found[1]), comma_required=False)


_COUNT_AND_SUM = re.compile(r"([0-9]{1,5})([A-Z]{3})([0-9., ]+)", re.ASCII)


def read_count_and_sum(content: str) -> tuple[int, str, int]:
    """:90D:, :90C: - number, currency and sum of entries. Raises FieldUnreadable or AmountUnreadable."""
    found = _COUNT_AND_SUM.fullmatch(content.strip())
    if found is None:
        raise FieldUnreadable(content)
    return int(found[1]), found[2], parse_comma_amount(found[3].strip(), exponent_or_two(found[2]), comma_required=False)


_NUMBER = re.compile(r"([0-9]{0,12})(?:/([0-9]{1,5}))?(?:/[0-9]{1,5})?", re.ASCII)


def read_number(content: str) -> tuple[str | None, int | None]:
    """:28C: or :28: - statement number as written, and page. Raises FieldUnreadable."""
    found = _NUMBER.fullmatch(content.strip())
    if found is None or not content.strip():
        raise FieldUnreadable(content)
    return found[1] or None, int(found[2]) if found[2] else None


@dataclass(frozen=True, slots=True)
class DeclaredTotals:
    """Counts and sums some banks put into the statement's own :86:."""

    out_count: int
    in_count: int
    out_units: int
    in_units: int


_ING_TOTALS = re.compile(r"D([0-9]{6})C([0-9]{6})D([0-9.,]+)C([0-9.,]+)", re.ASCII)
_SUM_TOTALS = re.compile(r"/SUM/([0-9]{1,6})/([0-9]{1,6})/([0-9.,]+)/([0-9.,]+)/?", re.ASCII)


def read_declared_totals(text: str, exponent: int) -> DeclaredTotals | None:
    """ING's ``D000001C000002D10000,99C11,01`` or ``/SUM/1/2/10000,99/11,01/`` at the head of a statement's :86:, else None."""
    found = _ING_TOTALS.match(text) or _SUM_TOTALS.match(text)
    if found is None:
        return None
    try:
        return DeclaredTotals(
            int(found[1]), int(found[2]),
            parse_comma_amount(found[3], exponent, comma_required=False),
            parse_comma_amount(found[4], exponent, comma_required=False),
        )  # fmt: skip
    except ValueError:
        return None
