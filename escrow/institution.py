"""Institutions and their custody accounts: pure nouns and the check of the institution's number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

#: GB 32100-2015: digits and capitals without I, O, S, V and Z.
USCC_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_LENGTH = 18


def uscc_check_character(first_seventeen: str) -> str:
    """The 18th character of a unified social credit code (统一社会信用代码, GB 32100-2015): ISO 7064 MOD 31-3.

    Raises ValueError when the text is not 17 characters of the code's alphabet.
    """
    if len(first_seventeen) != USCC_LENGTH - 1:
        raise ValueError(f"{first_seventeen!r} does not have 17 characters")
    remainder = 0
    for position, character in enumerate(first_seventeen):
        value = USCC_CHARACTERS.find(character)
        if value < 0:
            raise ValueError(f"{character!r} does not occur in unified social credit codes")
        remainder += value * pow(3, position, 31)
    return USCC_CHARACTERS[-remainder % 31]


def is_uscc(code: str) -> bool:
    """Whether the text is a unified social credit code with the right check character."""
    if len(code) != USCC_LENGTH or any(character not in USCC_CHARACTERS for character in code):
        return False
    return uscc_check_character(code[:-1]) == code[-1]


@dataclass(frozen=True, slots=True)
class CustodyAccount:
    """The real bank account where an institution's held money sits, and whom released money is paid to.

    ``opened_on``: the first business day it may be used. Beneficiary: the institution's own basic account.
    """

    institution_id: int
    institution_code: str
    institution_name: str
    jurisdiction_code: str
    custody_account_id: int
    bank_code: str
    account_number: str
    account_name: str
    currency: str
    opened_on: date
    beneficiary_name: str
    beneficiary_account: str
    beneficiary_bank: str
