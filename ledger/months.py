"""Months of the journal: which partition of ``transfer`` holds a business day. Pure.

A transfer's id begins with its booking day, so ``transfer`` is divided by ranges of ids: the primary key that makes a retry
harmless holds within a partition, and therefore over all of them, and a retry finds the same one whatever the clock says.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID

#: The first business day and the first one too late that the books have months for.
FIRST_DAY, END_DAY = date(2000, 1, 1), date(2100, 1, 1)
_EPOCH = FIRST_DAY.toordinal()
_END = END_DAY.toordinal() - _EPOCH


def month_of(day: date) -> date:
    """The first day of a business day's month."""
    return day.replace(day=1)


def following(month: date, months: int = 1) -> date:
    """The first day of the month that many months after ``month``."""
    ahead = month.year * 12 + month.month - 1 + months
    return date(ahead // 12, ahead % 12 + 1, 1)


def in_calendar(day: date) -> bool:
    """Whether the books have a month for that day at all."""
    return FIRST_DAY <= day < END_DAY


def id_fits_day(transfer_id: UUID, day: date) -> bool:
    """Whether an id lies in the month of its booking day, where its partition is. Ids of ``model.transfer_id`` do."""
    days = transfer_id.int >> 104
    if days == day.toordinal() - _EPOCH:
        return 0 <= days < _END
    return 0 <= days < _END and month_of(date.fromordinal(days + _EPOCH)) == month_of(day)
