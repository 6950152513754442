"""Holds: stops on release or refund. Pure nouns."""

from __future__ import annotations

from enum import StrEnum

from wording import Refused


class HoldScope(StrEnum):
    """What a hold stops."""

    ORDER = "order"  # one order
    CLASS_HOUR = "class_hour"  # one class-hour of an order
    CUSTODY_ACCOUNT = "custody_account"  # every order whose money is in the account, and disbursements out of it


class HoldRefused(Refused):
    """A hold cannot be placed or lifted as asked; the message says why and what to do."""
