"""Unified social credit codes (统一社会信用代码) that pass their own check, made here and not by the engine.

GB 32100-2015: 18 characters = registration authority (1), kind of body (1), administrative division (6), organisation
code (9, itself checked by GB 11714-1997) and a check character modulo 31 over the 31 characters without I, O, S, V, Z.
"""

from __future__ import annotations

import random

_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_VALUE = {character: value for value, character in enumerate(_CHARACTERS)}
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_CODE_LENGTH = 18


def check_character(first_seventeen: str) -> str:
    """The 18th character for the 17 before it: 31 - (sum of value * 3**position mod 31) mod 31 (GB 32100, annex)."""
    total = sum(_VALUE[character] * pow(3, position, 31) for position, character in enumerate(first_seventeen))
    return _CHARACTERS[(31 - total % 31) % 31]


def organisation_check(first_eight: str) -> str:
    """The 9th character of an organisation code (GB 11714): 11 - weighted sum mod 11, with X for 10 and 0 for 11."""
    total = sum(int(character, 36) * weight for character, weight in zip(first_eight, _ORGANISATION_WEIGHTS, strict=True))
    return "0123456789X0"[11 - total % 11]


def is_valid(code: str) -> bool:
    """Whether ``code`` has 18 characters of the right alphabet and the right check character."""
    return len(code) == _CODE_LENGTH and all(each in _VALUE for each in code) and check_character(code[:-1]) == code[-1]


def make_code(rng: random.Random, kind: str, division: str) -> str:
    """A valid code. ``kind`` is the first two characters (91 enterprise, 52 private non-enterprise body), ``division``
    the six digits of the district of registration.
    """
    organisation = "".join(_CHARACTERS[int(rng.random() * 31)] for _ in range(8))
    body = f"{kind}{division}{organisation}{organisation_check(organisation)}"
    return body + check_character(body)
