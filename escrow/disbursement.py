"""How instructions to the banks are numbered. Pure; the bank repeats these numbers, so they never change."""

from __future__ import annotations

from datetime import date

_ENDING_DIGITS = 8


def instruction_ending(account_number: str) -> str:
    """The last eight digits of an account number, by which its instructions are named."""
    return "".join(character for character in account_number if character.isdigit())[-_ENDING_DIGITS:]


def disbursement_id(instruction_date: date, account_number: str) -> str:
    """The number of the day's disbursement out of an account: ``DI``, the day, the account's last eight digits."""
    return f"DI{instruction_date:%Y%m%d}{instruction_ending(account_number)}"


def refund_reference(refund_request_id: str) -> str:
    """What a refund is called towards the bank: ``RF`` and the platform's number of the request."""
    return f"RF{refund_request_id}"
