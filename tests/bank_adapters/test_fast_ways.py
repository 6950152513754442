"""The short ways of reading say what the long ways say."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_adapters.amounts import AmountTooFine, AmountUnreadable, parse_comma_amount, parse_point_amount
from bank_adapters.mt940.details import read_details

FIGURES = st.text("0123456789.,-+ \u0663", max_size=9) | st.from_regex(r"[+-]?[0-9]{0,6}[.,][0-9]{2}", fullmatch=True)


@given(FIGURES, st.booleans())
def test_an_amount_of_two_decimals_is_read_as_the_same_amount_of_three(text: str, comma: bool) -> None:
    def read(exponent: int) -> int | None:
        try:
            return parse_comma_amount(text, exponent) if comma else parse_point_amount(text, exponent, grouped=True)
        except AmountTooFine:
            return None
        except AmountUnreadable:
            return -1

    two, three = read(2), read(3)  # only two decimals have a short way
    if two is not None and two != -1:
        assert three == two * 10
    elif two == -1:
        assert three == -1


@pytest.mark.parametrize("text", ["-.50", ".50", "-", "", "--1.00", "1.0\u0663", "+ 1.00"])
def test_figures_that_only_look_short_are_no_amounts(text: str) -> None:
    with pytest.raises(AmountUnreadable):
        parse_point_amount(text, 2)


PIECES = st.sampled_from([
    "?", "?20", "?21", "?29", "?60", "?64", "?31", "?38", "?00", "?32", "?33", "?2", "EREF+", "KREF+", "SVWZ+", "BIC+", "XBIC+", "+",
    "EREF", " ", "text", "12",
])  # fmt: skip
SEPA = re.compile(r"(EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|COAM|OAMT|IBAN|BIC|PURP)\+")


@given(st.lists(PIECES, max_size=14))
def test_german_subfields_are_parted_as_the_regular_expressions_of_the_rules_part_them(pieces: list[str]) -> None:
    text = "".join(["?20", *pieces])
    parted = re.split(r"\?([0-9]{2})", text)
    subfields = list(zip(parted[1::2], parted[2::2], strict=True))
    purpose = "".join(value for number, value in subfields if "20" <= number <= "29" or "60" <= number <= "63")
    keys = SEPA.split(purpose)
    keyed = {"": keys[0].strip()}
    for key, value in zip(keys[1::2], keys[2::2], strict=True):
        keyed.setdefault(key, value.strip())
    last = {number: value.strip() for number, value in subfields}
    details = read_details(f"166{text}", ())
    assert details.name == ("".join(value for number, value in subfields if number in ("32", "33")).strip() or None)
    assert details.account == (last.get("38") or last.get("31") or None)
    assert details.description == (keyed.get("SVWZ") or keyed[""] or last.get("00") or None)
    assert details.references == tuple(keyed[key] for key in ("KREF", "MREF") if keyed.get(key))
