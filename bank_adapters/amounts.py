"""Amount grammars of the formats: text to whole minor units, without Decimal or float.

``Decimal`` would take NaN, 1e3, 1_000 and full-width digits; here only what a bank's standard allows passes.
Raises AmountUnreadable for text that is no amount, AmountTooFine for decimals the currency does not have (further zeros
are none: ``18.15000`` EUR is 18.15).
"""

from __future__ import annotations

import re
from functools import lru_cache

from money import exponent_of
from money.amount import LARGEST_MINOR_UNITS, AmountRefused


class AmountUnreadable(ValueError):
    """The text is no amount."""


class AmountTooFine(AmountUnreadable):
    """The amount has decimals the currency does not have. ``units`` are the whole minor units of it."""

    def __init__(self, message: str, units: int = 0) -> None:
        super().__init__(message)
        self.units = units


_PLAIN = re.compile(r"([+-]?)([0-9]{1,18})(?:\.([0-9]{0,17}))?", re.ASCII)
_GROUPED = re.compile(r"([+-]?)([0-9]{1,3}(?:,[0-9]{3}){1,6})(?:\.([0-9]{0,17}))?", re.ASCII)
_COMMA = re.compile(r"([0-9]{1,18}),([0-9]{0,17})", re.ASCII)
_COMMA_GROUPED = re.compile(r"([0-9]{1,3}(?:[. ][0-9]{3})+),([0-9]{0,17})", re.ASCII)
_DOT = re.compile(r"([0-9]{1,18})\.([0-9]{1,2})", re.ASCII)
_BARE_FRACTION = re.compile(r",([0-9]{1,17})", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)

_SHORT = 18  # characters of an amount with two decimals that cannot be too large
_SCALES = [10**n for n in range(5)]


def minor_units(whole: str, fraction: str, exponent: int) -> int:
    """Whole and fraction digits as minor units of a currency with ``exponent`` decimals."""
    if len(fraction) == exponent:
        units = int(whole + fraction)
    else:
        units = int(whole) * _SCALES[exponent] + int(fraction[:exponent].ljust(exponent, "0") or "0")
        if fraction[exponent:].strip("0") and units <= LARGEST_MINOR_UNITS:
            raise AmountTooFine(f"more than {exponent} decimals", units)
    if units > LARGEST_MINOR_UNITS:
        raise AmountUnreadable("too large")
    return units


def parse_point_amount(text: str, exponent: int, *, grouped: bool = False) -> int:
    """``1234.56``, ``-1234.56``, ``+0.01``; with ``grouped`` also ``1,234.56`` in true groups of three."""
    if exponent == 2 and text[-3:-2] == "." and len(text) <= _SHORT:  # as nearly every bank writes them
        negative = text[0] == "-"
        whole = text[1:-3] if negative else text[:-3]
        digits = whole + text[-2:]
        if whole and digits.isdigit() and digits.isascii():
            return -int(digits) if negative else int(digits)
    found = _PLAIN.fullmatch(text) or (grouped and _GROUPED.fullmatch(text)) or None
    if found is None:
        raise AmountUnreadable("no decimal amount")
    sign, whole, fraction = found.groups()
    units = minor_units(whole.replace(",", "") if "," in whole else whole, fraction or "", exponent)
    return -units if sign == "-" else units


def parse_marked_amount(text: str, exponent: int, decimal: str, thousands: str) -> int:
    """Amounts of a bank that writes ``1.234,56`` or ``1'234.56``: its mark before the decimals, its mark between groups of three.

    Only whole groups are read: with a point between groups, ``1.50`` is no amount. No mark between groups is an empty text.
    """
    found = _marked(decimal, thousands).fullmatch(text)
    if found is None:
        raise AmountUnreadable("no amount with these marks")
    sign, whole, fraction = found.groups()
    units = minor_units(re.sub("[^0-9]", "", whole), fraction or "", exponent)
    return -units if sign == "-" else units


@lru_cache(maxsize=16)
def _marked(decimal: str, thousands: str) -> re.Pattern[str]:
    between = "[ \u00a0\u202f]" if thousands == " " else re.escape(thousands)
    groups = rf"|[0-9]{{1,3}}(?:{between}[0-9]{{3}}){{1,5}}" if thousands else ""
    return re.compile(rf"([+-]?)([0-9]{{1,18}}{groups})(?:{re.escape(decimal)}([0-9]{{0,17}}))?", re.ASCII)


def parse_decimal_amount(text: str, exponent: int) -> int:
    """``xs:decimal`` of ISO 20022 messages: like ``parse_point_amount``, and also ``.50`` (XML Schema part 2, 3.2.3)."""
    if text[:1] == "." or text[:2] in ("+.", "-."):
        if not text[-1:].isdigit():
            raise AmountUnreadable("no decimal amount")
        text = text.replace(".", "0.", 1)
    return parse_point_amount(text, exponent)


def parse_comma_amount(text: str, exponent: int, *, comma_required: bool = True) -> int:
    """SWIFT ``15d``: ``1234,56``, ``10,``, ``,32``, and what is seen in the wild: ``000300.00``, ``1.234,56``, ``11 27421,94``.

    Without a decimal mark the amount may have been cut off, so it is refused where ``comma_required``.
    """
    if exponent == 2 and text[-3:-2] == "," and len(text) <= _SHORT:  # as nearly every bank writes them
        digits = text[:-3] + text[-2:]
        if digits.isdigit() and digits.isascii():
            return int(digits)
    found = _COMMA.fullmatch(text)
    if found:
        return minor_units(found[1], found[2], exponent)
    if found := _BARE_FRACTION.fullmatch(text):
        return minor_units("0", found[1], exponent)
    if found := _COMMA_GROUPED.fullmatch(text):
        return minor_units(re.sub(r"[. ]", "", found[1]), found[2], exponent)
    if found := _DOT.fullmatch(text):
        return minor_units(found[1], found[2], exponent)
    if found := _COMMA.fullmatch(text.replace(" ", "")):
        return minor_units(found[1], found[2], exponent)
    if not comma_required and _WHOLE.fullmatch(text):
        return minor_units(text, "", exponent)
    raise AmountUnreadable("no amount with a decimal comma")


def exponent_or_two(currency: str | None) -> int:
    """Decimals of the currency, 2 when it is unknown."""
    return exponent_of(currency) if currency else 2


def is_currency(text: str) -> bool:
    """Whether the text has the form of a currency code (ISO 4217: three capital letters)."""
    try:
        exponent_of(text)
    except AmountRefused:
        return False
    return True
