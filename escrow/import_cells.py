"""Readers of single cells: text into ids, names, amounts, dates and instants, or a refusal that says why."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime
from typing import Any

from escrow.institution import is_uscc
from money import AmountRefused, parse_minor_units

LONGEST_TEXT = 200
MOST_CLASS_HOURS = 10_000

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}", re.ASCII)
_ACCOUNT_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{3,33}", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,6}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
#: Dates outside are slips of the pen; the books begin where transfer ids begin.
_FIRST_YEAR, _LAST_YEAR = 2001, 2100

CellReader = Callable[[str], Any]


class CellRefused(ValueError):
    """This cell cannot be read; ``code`` is its kind of fault."""

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        super().__init__(reason)


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:40] + "...")


def text(value: str) -> str:
    """Text for people, up to 200 characters. What looks like a spreadsheet formula is kept as the text it is."""
    found = value.strip()
    if not found:
        raise CellRefused("missing", "the cell is empty")
    if len(found) > LONGEST_TEXT:
        raise CellRefused("too_long", f"the text is longer than {LONGEST_TEXT} characters")
    # Cc control, Cf invisible (bidirectional marks hide what is written), Cs half a character, Zl/Zp line breaks.
    if not found.isprintable() and any(unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for each in found):
        raise CellRefused("control_character", "the text holds control or invisible characters")
    return found


def identifier(value: str) -> str:
    """A number or name given by somebody's system: ASCII letters, digits and . _ : / - up to 64."""
    found = value.strip()
    if not found:
        raise CellRefused("missing", "the cell is empty")
    if not _IDENTIFIER.fullmatch(found):
        raise CellRefused("bad_identifier", f"{_shown(value)} is not an identifier: letters, digits and . _ : / - (up to 64)")
    return found


def account_number(value: str) -> str:
    """A bank account number: 4 to 34 ASCII letters, digits or hyphens."""
    found = value.strip()
    if not _ACCOUNT_NUMBER.fullmatch(found):
        raise CellRefused("bad_account_number", f"{_shown(value)} is not a bank account number")
    return found


def institution_code(value: str) -> str:
    """A unified social credit code with the right check character."""
    found = value.strip()
    if not is_uscc(found):
        raise CellRefused(
            "bad_institution_code", f"{_shown(value)} is not a unified social credit code (check character, GB 32100)"
        )
    return found


def one_of(words: Collection[str], code: str = "unknown_word") -> CellReader:
    """A reader that takes exactly one of the words."""

    def read(value: str) -> str:
        found = value.strip()
        if found not in words:
            raise CellRefused(code, f"{_shown(value)} is not one of {', '.join(words)}")
        return found

    return read


def whole_number(value: str) -> int:
    """A whole number from 1 to 10000."""
    found = value.strip()
    if not _WHOLE.fullmatch(found) or not 1 <= int(found) <= MOST_CLASS_HOURS:
        raise CellRefused("bad_number", f"{_shown(value)} is not a whole number from 1 to {MOST_CLASS_HOURS}")
    return int(found)


def positive_amount(value: str) -> int:
    """Yuan with at most two decimals, above zero; fen."""
    found = amount(value)
    if found <= 0:
        raise CellRefused("bad_amount", f"{_shown(value)} is not above zero")
    return found


def amount(value: str) -> int:
    """Yuan with at most two decimals, zero or more; fen."""
    try:
        found = parse_minor_units(value.strip(), 2)
    except AmountRefused as error:
        raise CellRefused("bad_amount", str(error)) from None
    if found < 0:
        raise CellRefused("bad_amount", f"{_shown(value)} is below zero")
    return found


def day(value: str) -> date:
    """A calendar date, 2025-03-01."""
    found = value.strip()
    try:
        read = date.fromisoformat(found) if _DAY.fullmatch(found) else None
    except ValueError:
        read = None
    if read is None or not _FIRST_YEAR <= read.year <= _LAST_YEAR:
        raise CellRefused("bad_date", f"{_shown(value)} is not a date such as 2025-03-01")
    return read


def instant(value: str) -> datetime:
    """An instant with its offset, 2025-03-01T18:30:00+08:00; UTC."""
    found = value.strip()
    try:
        read = datetime.fromisoformat(found).astimezone(UTC) if _INSTANT.fullmatch(found) else None
    except (ValueError, OverflowError):
        read = None
    if read is None or not _FIRST_YEAR <= read.year <= _LAST_YEAR:
        raise CellRefused("bad_instant", f"{_shown(value)} is not an instant with its offset such as 2025-03-01T18:30:00+08:00")
    return read


def optional(reader: CellReader) -> CellReader:
    """A reader for a cell that may be empty (None)."""

    def read(value: str) -> Any:
        return reader(value) if value.strip() else None

    return read
