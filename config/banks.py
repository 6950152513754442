"""The banks that keep custody accounts, read from config/banks.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from pathlib import Path

from config.loading import CONFIG_FOLDER, load_section


@dataclass(frozen=True, slots=True)
class Bank:
    """A bank: its code in our books, the layout (profile id) of its statements and the name it delivers files under.

    ``business_day_cut``: local time in Shanghai after which the bank books on its next business day.
    """

    bank_code: str
    name_en: str
    name_zh: str
    profile: str
    sender_id: str
    business_day_cut: time


def load_banks(path: Path = CONFIG_FOLDER / "banks.yaml") -> dict[str, Bank]:
    """Every bank by its code, in the order of the file. Raises ConfigRefused naming the file and the key."""
    top = load_section(path)
    found: dict[str, Bank] = {}
    for section in top.sections("banks"):
        cut = section.text("business_day_cut")
        try:
            business_day_cut = time.fromisoformat(cut)
        except ValueError:
            raise section.refuse("business_day_cut", f'{cut!r} is not a time of day such as "23:00"') from None
        one = Bank(
            bank_code=section.text("bank_code"),
            name_en=section.text("name_en"),
            name_zh=section.text("name_zh"),
            profile=section.text("profile"),
            sender_id=section.text("sender_id"),
            business_day_cut=business_day_cut,
        )
        section.finish()
        if one.bank_code in found:
            raise section.refuse("bank_code", f"{one.bank_code} is listed twice")
        if any(one.sender_id == other.sender_id for other in found.values()):
            raise section.refuse("sender_id", f"{one.sender_id} already belongs to another bank")
        found[one.bank_code] = one
    top.finish()
    return found
