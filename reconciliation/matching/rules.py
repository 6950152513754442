"""The matching rules as data: which references count, how long an item may take, which texts name the bank's own lines.

The values come from config/matching_rules.yaml; ``version`` goes into every match.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from calendars import CalendarNotCovered, WorkingCalendar


class Rule(StrEnum):
    """Why a bank line and book items were judged one movement; all are proof but the last, which only proposes."""

    REFERENCE = "reference"
    GROUP_TOTAL = "group_total"
    REFERENCE_TOTAL = "reference_total"
    ORIGINAL_REFERENCE = "original_reference"
    REFERENCE_IN_TEXT = "reference_in_text"
    REVERSAL_PAIR = "reversal_pair"
    BY_HAND = "by_hand"
    AMOUNT_AND_DATE = "amount_and_date"


@dataclass(frozen=True, slots=True)
class Window:
    """How long after its due date an item may still arrive: the later of so many calendar and so many working days."""

    days: int
    working_days: int

    def ends(self, due: date, calendar: WorkingCalendar | None) -> date:
        """The last day on which an item due on ``due`` is in time. Days no calendar covers count as calendar days."""
        by_days = due + timedelta(days=self.days)
        if calendar is None:
            return by_days
        try:
            return max(by_days, calendar.add_working_days(due, self.working_days))
        except CalendarNotCovered:
            return by_days


@dataclass(frozen=True, slots=True)
class MatchingRules:
    """One version of the rules.

    ``placeholders`` are texts that stand for "no reference", compared after normalisation; a reference shorter than
    ``shortest_reference`` characters, or of zeros only, counts as none. ``shared_by_at_most``: a reference carried by more
    lines times items than this is a label, not a proof. ``early_days``: a movement booked longer before its item was due
    is another one. ``largest_fee_basis_points``: a shortfall of a channel settlement up to this share is a fee.
    Patterns are searched in description and transaction code.
    """

    version: str
    windows: Mapping[str, Window]
    placeholders: frozenset[str]
    shortest_reference: int
    early_days: int
    shared_by_at_most: int
    candidates_at_most: int
    largest_fee_basis_points: int
    our_references: re.Pattern[str]
    reversal: re.Pattern[str]
    interest: re.Pattern[str]
    charge: re.Pattern[str]

    def window(self, kind: str) -> Window:
        """The window of a kind of book item (receipt, disbursement, refund), or the default one."""
        return self.windows.get(kind, self.windows["default"])
