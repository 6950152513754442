"""Unified social credit codes, against codes companies print on their own papers."""

import random

import pytest

from simulation.uscc import check_character, is_valid, make_code, organisation_check


@pytest.mark.parametrize("code", ["9144030071526726XG", "91330100799655058B", "91350100M000100Y43"])
def test_a_published_code_passes(code: str) -> None:
    assert is_valid(code)
    assert check_character(code[:17]) == code[17]


@pytest.mark.parametrize("organisation", ["71526726X", "799655058", "M000100Y4"])
def test_the_organisation_code_inside_passes_its_own_check(organisation: str) -> None:
    assert organisation_check(organisation[:8]) == organisation[8]


def test_a_code_with_one_character_changed_fails() -> None:
    code = make_code(random.Random(5), "91", "330106")
    assert is_valid(code)
    for position, character in enumerate(code):
        other = "1" if character != "1" else "2"
        assert not is_valid(code[:position] + other + code[position + 1 :])
