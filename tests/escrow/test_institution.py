"""The check character of unified social credit codes (GB 32100-2015)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.institution import USCC_CHARACTERS, is_uscc, uscc_check_character
from simulation.uscc import check_character

bodies = st.text(alphabet=USCC_CHARACTERS, min_size=17, max_size=17)


# Published codes of well-known bodies.
@pytest.mark.parametrize("code", ["91350100M000100Y43", "911100001000044477", "91110108551385082Q"])
def test_published_codes_pass(code):
    assert is_uscc(code)


@given(bodies, st.integers(0, 16), st.sampled_from(USCC_CHARACTERS))
def test_any_single_wrong_character_is_noticed(body, place, other):
    code = body + uscc_check_character(body)
    changed = code[:place] + other + code[place + 1 :]

    assert is_uscc(changed) == (changed == code)


@given(bodies)
def test_the_simulations_own_arithmetic_agrees(body):
    assert uscc_check_character(body) == check_character(body)


@pytest.mark.parametrize("code", ["", "9135", "91350100m000100y43", "91350100M000100Y4O", "91350100M000100Y43\n"])
def test_what_is_no_code_is_refused(code):
    assert not is_uscc(code)


def test_a_text_of_another_length_has_no_check_character():
    with pytest.raises(ValueError, match="17 characters"):
        uscc_check_character("9135")
