"""Dates as banks write them. Impossible days of 30/360 books (30 February) are clamped to the month's end and said so."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache

#: Two-digit years: 80-99 are 1980-1999, 00-79 are 2000-2079.
PIVOT_YEAR = 80
_LEAST_YEAR, _LAST_YEAR = 1900, 2199


class DateUnreadable(ValueError):
    """The text is no date."""


@dataclass(frozen=True, slots=True)
class ReadDate:
    """A date, and whether the day had to be clamped because the calendar has no such day."""

    day: date
    clamped: bool = False


def clamped(year: int, month: int, day: int) -> ReadDate:
    """The day, or the month's last day where the calendar has none so late. Raises DateUnreadable."""
    if not (_LEAST_YEAR <= year <= _LAST_YEAR and 1 <= month <= 12 and 1 <= day <= 31):
        raise DateUnreadable(f"{year}-{month}-{day}")
    last = calendar.monthrange(year, month)[1]
    return ReadDate(date(year, month, min(day, last)), day > last)


@lru_cache(maxsize=4096)
def read_yymmdd(text: str) -> ReadDate:
    """SWIFT ``6!n`` YYMMDD. Raises DateUnreadable."""
    if len(text) != 6 or not (text.isascii() and text.isdigit()):
        raise DateUnreadable(text)
    year = int(text[:2])
    return clamped(year + (1900 if year >= PIVOT_YEAR else 2000), int(text[2:4]), int(text[4:6]))


@lru_cache(maxsize=4096)
def read_mmdd_near(text: str, near: date) -> ReadDate | None:
    """SWIFT ``4!n`` MMDD in the year that puts it nearest to ``near``; None for blanks or 0000."""
    if not text.strip() or text == "0000":
        return None
    if not (text.isascii() and text.isdigit()):
        raise DateUnreadable(text)
    candidates = [clamped(near.year + shift, int(text[:2]), int(text[2:4])) for shift in (-1, 0, 1)]
    return min(candidates, key=lambda read: (read.clamped, abs((read.day - near).days)))


_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?)?\s*(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)


@lru_cache(maxsize=4096)
def read_iso(text: str) -> tuple[ReadDate, datetime | None]:
    """ISO date or date-time: the calendar date as written (never converted), and the instant when a time is given.

    A time without a zone has no instant; the caller may know the bank's zone. Raises DateUnreadable.
    """
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise DateUnreadable(text)
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    read = clamped(int(year), int(month), int(day))
    if hour is None or read.clamped:
        return read, None
    if int(hour) > 24 or int(minute) > 59 or int(second or 0) > 60:
        raise DateUnreadable(text)
    if int(hour) == 24 or int(second or 0) == 60:  # legal in ISO 8601, no time of day here
        return read, None
    clock = time(int(hour), int(minute), int(second or 0), int((fraction or "0")[:6].ljust(6, "0")))
    return read, datetime.combine(read.day, clock, _zone(zone)) if zone else datetime.combine(read.day, clock)


def _zone(text: str) -> timezone:
    if text == "Z":
        return timezone.utc  # noqa: UP017 - the same object as datetime.UTC, typed as timezone
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    if offset > timedelta(hours=14):
        raise DateUnreadable(text)
    return timezone(-offset if text[0] == "-" else offset)


#: Table profiles name the one their bank writes. With the year first there is one way to read a day, so those are always read.
YEAR_FIRST = {
    "YYYY-MM-DD": re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})", re.ASCII),
    "YYYY/MM/DD": re.compile(r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})", re.ASCII),
    "YYYY.MM.DD": re.compile(r"([0-9]{4})\.([0-9]{1,2})\.([0-9]{1,2})", re.ASCII),
    "YYYYMMDD": re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})", re.ASCII),
    "YYYY年MM月DD日": re.compile(r"([0-9]{4})年([0-9]{1,2})月([0-9]{1,2})日", re.ASCII),
}
#: Read only where a profile says so: another bank writes the same figures in another order.
YEAR_LAST = {
    "DD.MM.YYYY": re.compile(r"(?P<day>[0-9]{1,2})\.(?P<month>[0-9]{1,2})\.(?P<year>[0-9]{4})", re.ASCII),
    "DD/MM/YYYY": re.compile(r"(?P<day>[0-9]{1,2})/(?P<month>[0-9]{1,2})/(?P<year>[0-9]{4})", re.ASCII),
    "DD-MM-YYYY": re.compile(r"(?P<day>[0-9]{1,2})-(?P<month>[0-9]{1,2})-(?P<year>[0-9]{4})", re.ASCII),
    "MM/DD/YYYY": re.compile(r"(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})/(?P<year>[0-9]{4})", re.ASCII),
}
DATE_FORMATS = {**YEAR_FIRST, **YEAR_LAST}
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?|([0-9]{2})([0-9]{2})([0-9]{2})", re.ASCII)


@lru_cache(maxsize=8192)
def read_date(text: str, formats: tuple[str, ...]) -> ReadDate:
    """A date in one of the named formats. Raises DateUnreadable."""
    for name in formats:
        if not (found := DATE_FORMATS[name].fullmatch(text)):
            continue
        if name in YEAR_FIRST:
            return clamped(int(found[1]), int(found[2]), int(found[3]))
        return clamped(int(found["year"]), int(found["month"]), int(found["day"]))
    raise DateUnreadable(text)


@lru_cache(maxsize=8192)
def read_time(text: str) -> time:
    """``HH:MM:SS``, ``HH:MM`` or ``HHMMSS``. Raises DateUnreadable."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise DateUnreadable(text)
    parts = [int(part or 0) for part in (found.groups()[:3] if found[1] else found.groups()[3:])]
    if parts[0] > 23 or parts[1] > 59 or parts[2] > 59:
        raise DateUnreadable(text)
    return time(parts[0], parts[1], parts[2])
