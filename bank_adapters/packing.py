"""A statement line as a tuple of plain values and back: what the store of lines writes and what crosses between processes.

Making a ``StatementLine`` costs more than reading it from its field, so readers of large files hand over the values and a line is
made when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta, timezone
from itertools import repeat
from typing import Any
from zoneinfo import ZoneInfo

from bank_adapters.model import Direction, LineStatus, StatementLine
from bank_adapters.references import reference_sets
from money import Money

#: In the order of ``StatementLine``: dates as ordinals, direction and status as their text, each amount as minor units and
#: currency, ``booked_at`` as the parts of a time and its zone.
PackedLine = tuple[Any, ...]
#: Lines by column, in the order of ``PackedLine``: as many values as there are lines, or one that all of them share. Nothing can
#: be wrong about ``references``, so they may be left to whoever asks for the lines: see ``later_references``; so may the parts of
#: instants, see ``later_instants``. A column of texts may be one text of lines (never of None): see ``parted``.
PackedColumns = tuple[Sequence[Any], ...]
_BOOKING, _BANK, _END_TO_END, _REFERENCES, _DESCRIPTION, _BOOKED_AT = 0, 7, 8, 9, 12, 17
_LATER = "later"

_DIRECTIONS = {each.value: each for each in Direction}
_STATUSES = {each.value: each for each in LineStatus}


def pack_line(line: StatementLine) -> PackedLine:
    """Plain values of a line, in the order of its fields."""
    booked_at = line.booked_at
    balance = line.running_balance
    return (
        line.booking_date and line.booking_date.toordinal(), line.value_date and line.value_date.toordinal(),
        line.direction._value_, line.amount.minor_units, line.amount.currency, line.status._value_, line.line,
        line.bank_reference, line.end_to_end_reference, line.references, line.counterparty_name, line.counterparty_account,
        line.description, line.reversal, line.transaction_code, balance.minor_units if balance is not None else None,
        balance.currency if balance is not None else None, booked_at and pack_time(booked_at), line.source, line.finer,
    )  # fmt: skip


def unpack_line(values: PackedLine) -> StatementLine:
    """The line ``pack_line`` made these values of."""
    (
        booking, value, direction, units, currency, status, number, bank, end_to_end, references, name, account, description,
        reversal, code, balance, balance_currency, booked_at, source, finer,
    ) = values  # fmt: skip
    return StatementLine(
        booking and date.fromordinal(booking), value and date.fromordinal(value), _DIRECTIONS[direction], Money(units, currency),
        _STATUSES[status], number, bank, end_to_end, references, name, account, description, reversal, code,
        Money(balance, balance_currency) if balance_currency is not None else None,
        booked_at and _time_of(booked_at), source, finer,
    )  # fmt: skip


def columns_of(lines: Iterable[PackedLine]) -> PackedColumns:
    """Lines, at least one, by column."""
    return tuple(zip(*lines, strict=True))


def lines_of(count: int, columns: PackedColumns) -> Iterator[PackedLine]:
    """The ``count`` lines of these columns, one by one."""
    return rows_of(count, completed(count, columns))


def rows_of(count: int, columns: PackedColumns) -> Iterator[tuple[Any, ...]]:
    """The values of some columns, line by line."""
    return zip(*(repeat(column[0], count) if len(column) == 1 else column for column in columns), strict=True)


def later_references(*others: Sequence[str | None]) -> Sequence[Any]:
    """In place of the references of lines: those of bank, customer, ``others`` and description, read when lines are asked for."""
    return (_LATER, others)


def later_instants(zone: str, seconds: Sequence[int | None]) -> Sequence[Any]:
    """In place of the instants of lines: the seconds since midnight of the booking date, None where no time is given."""
    return (_LATER, zone, seconds)


def parted(column: Sequence[Any]) -> Sequence[Any]:
    """A column of texts that is given as one text of lines, by line; others as they are."""
    return column.split("\n") if type(column) is str else column


def _is_later(column: Sequence[Any]) -> bool:
    return type(column) is tuple and column[0] == _LATER


def last_of(columns: PackedColumns) -> PackedLine:
    """The last line of these columns, without the references that are left for later."""
    *values, booked_at, source, finer = (
        None if _is_later(column) else column[column.rfind("\n") + 1 :] if isinstance(column, str) else column[-1]
        for column in columns
    )
    if _is_later(columns[_BOOKED_AT]):
        _, zone, seconds = columns[_BOOKED_AT]
        (booked_at,) = _instants(zone, columns[_BOOKING][-1:], seconds[-1:])
    return (*values, booked_at, source, finer)


def completed(count: int, columns: PackedColumns) -> PackedColumns:
    """The columns with what was left for later, each by line."""
    if _is_later(columns[_REFERENCES]):
        given = (columns[_BANK], columns[_END_TO_END], *columns[_REFERENCES][1], columns[_DESCRIPTION])
        *references, texts = (each if len(each) == count else [each[0]] * count for each in map(parted, given))
        columns = (*columns[:_REFERENCES], reference_sets(references, texts), *columns[_REFERENCES + 1 :])
    if _is_later(columns[_BOOKED_AT]):
        _, zone, seconds = columns[_BOOKED_AT]
        instants = _instants(zone, columns[_BOOKING], seconds)
        columns = (*columns[:_BOOKED_AT], instants, *columns[_BOOKED_AT + 1 :])
    return tuple(map(parted, columns))


def _instants(zone: str, days: Sequence[int], seconds: Sequence[int | None]) -> list[tuple[Any, ...] | None]:
    """Moments as ``pack_time`` gives them."""
    known = {day: (read.year, read.month, read.day) for day in set(days) for read in (date.fromordinal(day),)}
    return [
        None if each is None else (*known[day], each // 3600, each // 60 % 60, each % 60, 0, 0, zone)
        for day, each in zip(days, seconds, strict=True)
    ]


def pack_time(moment: datetime) -> tuple[Any, ...]:
    """The parts of a moment: date, time of day, microsecond, fold, and the zone by name or by its seconds."""
    zone = moment.tzinfo
    offset = moment.utcoffset()
    where = zone.key if isinstance(zone, ZoneInfo) else offset.total_seconds() if offset is not None else None
    return (
        moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.microsecond, moment.fold, where,
    )  # fmt: skip


def _time_of(values: tuple[Any, ...]) -> datetime:
    *parts, fold, where = values
    zone = ZoneInfo(where) if isinstance(where, str) else None if where is None else timezone(timedelta(seconds=where))
    year, month, day, hour, minute, second, micro = parts
    return datetime(year, month, day, hour, minute, second, micro, tzinfo=zone, fold=fold)
