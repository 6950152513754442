"""Money: a whole number of minor units of one currency (ISO 4217 exponents)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, total_ordering

#: ISO 4217 currencies whose minor unit is not a hundredth. Any other three-letter code has two decimals.
MINOR_UNIT_EXPONENTS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0,
    "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
    "CLF": 4, "UYW": 4,
}  # fmt: skip

#: Largest amount a BIGINT column holds, in minor units.
LARGEST_MINOR_UNITS = 2**63 - 1

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_PLAIN_DECIMAL = re.compile(r"(?P<sign>[+-]?)(?P<whole>[0-9]{1,25})(?:\.(?P<fraction>[0-9]{0,20}))?", re.ASCII)


class AmountRefused(ValueError):
    """This text is not an amount the currency can hold."""


class CurrencyMismatch(ValueError):
    """Amounts of different currencies were put together."""


@lru_cache(maxsize=1024)
def exponent_of(currency: str) -> int:
    """Number of decimals of the currency's minor unit (ISO 4217): 2 for CNY, 0 for JPY, 3 for BHD."""
    if not _CURRENCY.fullmatch(currency):
        raise AmountRefused(f"{currency!r} is not a three-letter currency code (ISO 4217), such as CNY")
    return MINOR_UNIT_EXPONENTS.get(currency, 2)


def parse_minor_units(text: str, exponent: int) -> int:
    """Read plain decimal text (ASCII digits, ``.`` as the point, optional sign) as minor units.

    Further decimals must be zeros: ``18.15000`` is 1815 fen, ``18.151`` is refused. ``NaN``, ``1e3``, ``1_000``,
    thousands separators and full-width digits are refused: a format's own reader strips what its standard allows.
    Raises AmountRefused.
    """
    if not isinstance(text, str):
        raise AmountRefused(f"an amount is read from text, not from {type(text).__name__}")
    found = _PLAIN_DECIMAL.fullmatch(text)
    if found is None:
        raise AmountRefused(f"{text!r} is not a decimal amount such as 1234.56")
    fraction = found["fraction"] or ""
    kept, rest = fraction[:exponent], fraction[exponent:]
    if rest.strip("0"):
        raise AmountRefused(f"{text!r} has more than {exponent} decimals")
    units = int(found["whole"] + kept.ljust(exponent, "0"))
    if units > LARGEST_MINOR_UNITS:
        raise AmountRefused(f"{text!r} is larger than any amount the books can hold")
    return -units if found["sign"] == "-" else units


def format_minor_units(minor_units: int, exponent: int = 2, *, grouped: bool = False) -> str:
    """Decimal text of minor units: ``123456`` -> ``1234.56``, or ``1,234.56`` when grouped for people."""
    sign = "-" if minor_units < 0 else ""
    whole, fraction = divmod(abs(minor_units), 10**exponent)
    text = f"{whole:,}" if grouped else str(whole)
    return f"{sign}{text}.{fraction:0{exponent}d}" if exponent else f"{sign}{text}"


def split_evenly(total: int, parts: int) -> list[int]:
    """Split ``total`` minor units into ``parts`` whole amounts that sum to it exactly (cumulative rounding).

    The k-th part is ``total*k//parts - total*(k-1)//parts``: parts differ by at most one minor unit.
    """
    if parts < 1:
        raise ValueError(f"cannot split into {parts} parts")
    return [total * k // parts - total * (k - 1) // parts for k in range(1, parts + 1)]


@total_ordering
@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount: ``minor_units`` (whole; may be negative) of ``currency`` (ISO 4217 code)."""

    minor_units: int
    currency: str = "CNY"

    def __post_init__(self) -> None:
        if type(self.minor_units) is not int:
            raise AmountRefused(f"minor units are a whole int, not {type(self.minor_units).__name__}")
        if abs(self.minor_units) > LARGEST_MINOR_UNITS:
            raise AmountRefused(f"{self.minor_units} minor units are more than the books can hold")
        exponent_of(self.currency)

    @classmethod
    def parse(cls, text: str, currency: str = "CNY") -> Money:
        """Read plain decimal text such as ``1234.56``; see parse_minor_units. Raises AmountRefused."""
        return cls(parse_minor_units(text, exponent_of(currency)), currency)

    @classmethod
    def zero(cls, currency: str = "CNY") -> Money:
        return cls(0, currency)

    def _same(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self} and {other} are of different currencies")
        return other

    def __add__(self, other: Money) -> Money:
        return Money(self.minor_units + self._same(other).minor_units, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor_units - self._same(other).minor_units, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor_units, self.currency)

    def __abs__(self) -> Money:
        return Money(abs(self.minor_units), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor_units < self._same(other).minor_units

    def __bool__(self) -> bool:
        return self.minor_units != 0

    @property
    def plain(self) -> str:
        """Decimal text without grouping or currency, as files and JSON carry it: ``1234.56``."""
        return format_minor_units(self.minor_units, exponent_of(self.currency))

    @property
    def grouped(self) -> str:
        """Decimal text with thousands separators and no currency, as tables for people carry it: ``1,234.56``."""
        return format_minor_units(self.minor_units, exponent_of(self.currency), grouped=True)

    def __str__(self) -> str:
        return f"{self.currency} {self.grouped}"

    def split(self, parts: int) -> list[Money]:
        """``parts`` amounts that sum to this one exactly; they differ by at most one minor unit."""
        return [Money(units, self.currency) for units in split_evenly(self.minor_units, parts)]
