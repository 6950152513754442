"""The one gate for amounts: whole minor units and their currency.

Every amount in the house is a ``Money`` or a plain ``int`` of minor units whose name says so (``*_minor_units``).
A float never passes; a fraction the currency cannot hold is refused, never rounded.
"""

from money.amount import (
    MINOR_UNIT_EXPONENTS,
    AmountRefused,
    CurrencyMismatch,
    Money,
    exponent_of,
    format_minor_units,
    parse_minor_units,
    split_evenly,
)

__all__ = [
    "MINOR_UNIT_EXPONENTS",
    "AmountRefused",
    "CurrencyMismatch",
    "Money",
    "exponent_of",
    "format_minor_units",
    "parse_minor_units",
    "split_evenly",
]
