"""Months of the journal: which partition of ``transfer`` holds a business day. Pure.

A transfer's id begins with its booking day, so ``transfer`` is divided by ranges of ids: the primary key that makes a retry
harmless holds within a partition, and therefore over all of them, and a retry finds the same one whatever the clock says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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


def first_id(month: date) -> UUID:
    """The least id a transfer of that month can have; of the first month after the calendar, the least beyond them all."""
    return UUID(int=(month.toordinal() - _EPOCH) << 104)


def ids_of(months: Iterable[date]) -> list[tuple[UUID, UUID]]:
    """The ids of some months as ranges, by time: the least id of each range and the least beyond it. Neighbours share a range."""
    ranges: list[tuple[UUID, UUID]] = []
    for month in sorted(months):
        first, beyond = first_id(month), first_id(following(month))
        if ranges and ranges[-1][1] == first:
            first = ranges.pop()[0]
        ranges.append((first, beyond))
    return ranges


def by_month(keys: Sequence[tuple[int, UUID]]) -> Iterator[tuple[UUID, UUID, list[tuple[int, UUID]]]]:
    """Ids (each with its institution) by the month they lie in: the least id of the month, that of the next one, and the ids.

    Ids that lie in no month of the books are left out: no transfer has one.
    """
    months: dict[int, date] = {}
    found: dict[date, list[tuple[int, UUID]]] = {}
    for key in keys:
        days = key[1].int >> 104
        month = months.get(days)
        if month is None:
            if days >= _END:
                continue
            month = months[days] = month_of(date.fromordinal(days + _EPOCH))
        found.setdefault(month, []).append(key)
    for month, of_month in found.items():
        yield first_id(month), first_id(following(month)), of_month
