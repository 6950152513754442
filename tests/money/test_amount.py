"""The gate for amounts lets nothing inexact through."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from money import AmountRefused, CurrencyMismatch, Money, format_minor_units, parse_minor_units, split_evenly

fen = st.integers(min_value=-(10**15), max_value=10**15)


@pytest.mark.parametrize(
    ("text", "minor_units"),
    [("1234.56", 123456), ("0.01", 1), ("-5", -500), ("+5.1", 510), ("18.15000", 1815), ("7.", 700), ("000000149.87", 14987)],
)
def test_plain_decimals_become_fen(text: str, minor_units: int) -> None:
    assert Money.parse(text) == Money(minor_units, "CNY")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1,234.56",
        "18.151",
        "NaN",
        "Infinity",
        "1e3",
        "1_000",
        "１２",
        "--1",
        ".",
        ".5",
        "0x10",
        "1.2.3",
        "9" * 30,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(AmountRefused):
        Money.parse(text)


@pytest.mark.parametrize("value", [1.0, Decimal(1), "1", True])
def test_minor_units_are_whole_ints_and_nothing_else(value: object) -> None:
    with pytest.raises(AmountRefused):
        Money(value, "CNY")  # type: ignore[arg-type]


def test_a_float_is_not_text() -> None:
    with pytest.raises(AmountRefused):
        parse_minor_units(1.5, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(("currency", "minor_units", "plain"), [("CNY", 5, "0.05"), ("JPY", 5, "5"), ("BHD", 5, "0.005")])
def test_decimals_follow_iso_4217(currency: str, minor_units: int, plain: str) -> None:
    assert Money(minor_units, currency).plain == plain
    assert Money.parse(plain, currency) == Money(minor_units, currency)


def test_currencies_do_not_mix() -> None:
    with pytest.raises(CurrencyMismatch):
        Money(1, "CNY") + Money(1, "USD")
    with pytest.raises(CurrencyMismatch):
        _ = Money(1, "CNY") < Money(1, "USD")


@pytest.mark.parametrize("currency", ["cny", "CN", "人民币", "C1Y", ""])
def test_a_currency_is_three_capital_letters(currency: str) -> None:
    with pytest.raises(AmountRefused):
        Money(1, currency)


def test_people_read_grouped_amounts() -> None:
    assert str(Money(-123456789, "CNY")) == "CNY -1,234,567.89"


@given(fen)
def test_text_and_back_loses_nothing(minor_units: int) -> None:
    assert parse_minor_units(format_minor_units(minor_units), 2) == minor_units


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=1, max_value=500))
def test_a_split_sums_to_the_whole_and_is_even_to_the_fen(total: int, parts: int) -> None:
    amounts = split_evenly(total, parts)

    assert len(amounts) == parts
    assert sum(amounts) == total
    assert max(amounts) - min(amounts) <= 1


def test_five_thousand_yuan_over_sixty_class_hours_strands_nothing() -> None:
    # DOMAIN test vector 1: rounding each part alone would leave 20 fen behind.
    assert {part.plain for part in Money.parse("5000.00").split(60)} == {"83.33", "83.34"}
