"""Ordinary entries of a large camt file by column: cut out of the text before the XML parser sees it.

An entry of a known layout (``layouts``) whose texts hold neither markup nor anything that could become a finding is as
well-formed as its layout and need not be parsed again. In place of a run of them the parser gets one element and as many line
ends as were taken out. Any other entry, and all around entries, it reads itself; both say the same of every entry
(``tests/bank_adapters/test_lanes.py``).
"""

from __future__ import annotations

import re
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from bank_adapters.amounts import AmountUnreadable, exponent_or_two, parse_decimal_amount
from bank_adapters.camt.entry import DIRECTIONS, NOT_BOOKED
from bank_adapters.camt.layouts import FIELDS, REFERENCES, Layout, layout_of
from bank_adapters.dates import DateUnreadable, read_iso
from bank_adapters.model import Direction
from bank_adapters.packing import PackedColumns, pack_time
from bank_adapters.profile import ReversalSign
from bank_adapters.references import meaningful_ones, reference_sets

_OPEN, _CLOSE = "<Ntry>", "</Ntry>"
#: Bytes that need no second look: all but marks and the controls XML does not allow.
_PLAIN = bytes(each for each in range(256) if each not in b"<>&" and (each >= 0x20 or each in b"\t\n"))
_ENDS = {"<!--": "-->", "<![CDATA[": "]]>", "<?": "?>"}
_AMOUNTS = re.compile(r"(?:[0-9]{1,15}\.[0-9]{2}\n)*+", re.ASCII)
_IN, _OUT = Direction.IN.value, Direction.OUT.value
_WAYS = {text: direction.value for text, direction in DIRECTIONS.items()}
_STATUSES: dict[str | None, str] = {
    None: "BOOKED",
    "BOOK": "BOOKED",
    **{text: status.value for text, status in NOT_BOOKED.items()},
}
_REVERSALS: dict[str | None, bool] = {None: False, "false": False, "0": False, "true": True, "1": True}
_MOST_LAYOUTS = 256
_MOST_DAYS = 4096
_LONGEST_ENTRY = 1 << 18

Column = Sequence[str | None]


@dataclass(slots=True)
class Entry:
    """An entry cut out: the line it begins in, its text with what stands behind it, and the texts of its fields."""

    line: int
    text: str
    fields: tuple[str | None, ...]


@dataclass(slots=True)
class Run:
    """Entries one behind another, by column."""

    currency: str
    entries: list[Entry]
    columns: PackedColumns


class Ordinary:
    """What is cut out of a text that is given piece by piece. Nothing is before ``currency`` is set: that of the statement."""

    def __init__(self, reversal_sign: ReversalSign, zone: ZoneInfo, shortest_run: int) -> None:
        self.currency: str | None = None
        self.runs: deque[Run] = deque()  # in the order of their elements
        self.element = f"Ntry.{secrets.token_hex(8)}"  # that no file can hold
        self._inverted = reversal_sign is ReversalSign.INVERTED
        self._zone = zone
        self._shortest_run = shortest_run
        self._layouts: dict[str, Layout | None] = {}
        self._days: dict[str, tuple[int, tuple[Any, ...] | None] | None] = {}
        self._line = 1  # of the next character
        self._barred = False  # a comment, CDATA or instruction may be open: what looks like an entry may be none

    def cut(self, text: str, *, last: bool) -> tuple[str, str]:
        """The text for the parser, and what is held back to come again in front of the next: an entry not ended yet."""
        held = ""
        if "<!" in text or "<?" in text:
            self._barred = self._barred or not _all_closed(text)
        elif self.currency is not None and not self._barred and _OPEN in text:
            begin = text.rindex(_OPEN)
            if not last and len(text) - begin < _LONGEST_ENTRY and _CLOSE not in text[begin:]:
                text, held = text[:begin], text[begin:]
            text, breaks = self._without_runs(text, self.currency), text.count("\n")
            self._line += breaks
            return text, held
        self._line += text.count("\n")
        return text, held

    def _without_runs(self, text: str, currency: str) -> str:
        before, *rest = text.split(_OPEN)
        line = self._line + before.count("\n")
        plain = _is_plain(text)
        kept, run = [before], list[Entry]()
        for each in rest:
            body, close, tail = each.partition(_CLOSE)
            fields = self._fields(body, currency) if close and (plain or _is_plain(body)) else None
            if fields is None:
                self._put(run, kept, currency)
                kept.append(_OPEN + each)
                run = []
            else:
                run.append(Entry(line, each, fields))
                if tail and not tail.isspace():
                    run[-1].text = body + _CLOSE
                    self._put(run, kept, currency)
                    kept.append(tail)
                    run = []
            line += each.count("\n")
        self._put(run, kept, currency)
        return "".join(kept)

    def _fields(self, body: str, currency: str) -> tuple[str | None, ...] | None:
        """The texts of an entry's fields, None when it must be parsed. Marks stand in turn in ``body``."""
        pieces = body.replace(">", "<").split("<")
        tags = "<".join(pieces[1::2])
        layout = self._layouts.get(tags)
        if layout is None:
            if tags in self._layouts or len(self._layouts) >= _MOST_LAYOUTS:
                return None
            layout = self._layouts[tags] = layout_of(pieces[1::2])
            if layout is None:
                return None
        texts: list[str] = pieces[0::2]
        between = "".join(layout.between(texts))
        if layout.currency != currency or (between and not between.isspace()):
            return None
        return layout.pick([*texts, None, "".join([texts[each] for each in layout.joined])])

    def _put(self, run: list[Entry], kept: list[str], currency: str) -> None:
        """Put an element for the run, or its text where it is too short or holds entries that are not ordinary."""
        while len(run) >= self._shortest_run:
            columns, odd = self._columns(run, currency)
            if not odd:
                self.runs.append(Run(currency, run, columns))
                kept.append(f"<{self.element}/>" + "\n" * sum(each.text.count("\n") for each in run))
                return
            if len(odd) * 4 > len(run):
                break
            self._put(run[: odd[0]], kept, currency)
            kept.append(_OPEN + run[odd[0]].text)
            run = run[odd[0] + 1 :]
        kept += [_OPEN + each.text for each in run]

    def _columns(self, run: list[Entry], currency: str) -> tuple[PackedColumns, list[int]]:
        """The entries by column, and which of them are not ordinary: their values are nonsense."""
        columns = [_stripped(column) for column in zip(*[each.fields for each in run], strict=True)]
        (
            amounts, ways, reversed_, statuses, booked, valued, bank, end_to_end, name_in, account_in, name_out, account_out,
            indicators, descriptions,
        ) = columns[: len(FIELDS)]  # fmt: skip
        references, codes = columns[len(FIELDS) : len(FIELDS) + REFERENCES], columns[len(FIELDS) + REFERENCES :]
        units = _units_of(amounts, exponent_or_two(currency))
        status = [_STATUSES.get(each) for each in statuses]
        reversal = [_REVERSALS.get(each) for each in reversed_]
        stated = [_WAYS.get(each or "") for each in ways]
        direction = stated
        if self._inverted and any(reversal):
            direction = [_other(way) if undone else way for way, undone in zip(stated, reversal, strict=True)]
        booking, value = self._read_days(booked), self._read_days(valued)
        booking_date = [
            day[0] if day and day[0] else other and other[0] if state == "BOOKED" else None
            for day, other, state in zip(booking, value, status, strict=True)
        ]
        odd = {index for column in columns if "" in column for index, each in enumerate(column) if each == ""}
        for column in (units, status, reversal, direction, booking_date, booking, value):
            odd |= {index for index, each in enumerate(column) if each is None} if None in column else set()
        if any(indicators):
            odd |= {
                index
                for index, (told, way, undone) in enumerate(zip(indicators, direction, reversal, strict=True))
                if told and not undone and _WAYS.get(told, way) != way
            }
        if odd:
            return (), sorted(odd)
        from_payer = [(way == _IN) != undone for way, undone in zip(direction, reversal, strict=True)]
        banks = meaningful_ones(bank)
        code = {each: "-".join(filter(None, each)) or None for each in set(zip(*codes, strict=True))}
        return (
            booking_date, [each and each[0] for each in value], direction, units, (currency,), status,
            [each.line for each in run], banks, meaningful_ones(end_to_end), reference_sets((banks, *references), descriptions),
            [one if paid else other for paid, one, other in zip(from_payer, name_in, name_out, strict=True)],
            [one if paid else other for paid, one, other in zip(from_payer, account_in, account_out, strict=True)],
            descriptions, reversal if any(reversal) else (False,), [code[each] for each in zip(*codes, strict=True)],
            (None,), (None,), [each and each[1] for each in booking], (None,), (None,),
        ), []  # fmt: skip

    def _read_days(self, texts: Column) -> list[tuple[int | None, tuple[Any, ...] | None] | None]:
        """Ordinal and packed instant of each text, both None without a text; None where it is no day of the calendar."""
        known = self._days
        for text in set(texts).difference(known):
            if len(known) >= _MOST_DAYS:
                known.clear()
            if text is not None:
                known[text] = self._read_day(text)
        return [(None, None) if text is None else known[text] if text in known else self._read_day(text) for text in texts]

    def _read_day(self, text: str) -> tuple[int, tuple[Any, ...] | None] | None:
        try:
            read, instant = read_iso(text)
        except DateUnreadable:
            return None
        if read.clamped:
            return None
        if instant is not None and instant.tzinfo is None:
            instant = instant.replace(tzinfo=self._zone)
        return read.day.toordinal(), pack_time(instant) if instant is not None else None


def _is_plain(text: str) -> bool:
    """Whether marks stand in turn and nothing in the text needs a second look."""
    marks = text.encode("utf-8", "surrogatepass").translate(None, _PLAIN)
    return marks == b"<>" * (len(marks) // 2) and "\ufffe" not in text and "\uffff" not in text


def _all_closed(text: str) -> bool:
    """Whether every comment, CDATA section and processing instruction that begins in the text ends in it."""
    at = 0
    while (at := min((found for found in (text.find("<!", at), text.find("<?", at)) if found >= 0), default=-1)) >= 0:
        mark = next((mark for mark in _ENDS if text.startswith(mark, at)), None)
        end = text.find(_ENDS[mark], at + len(mark)) if mark else -1
        if end < 0:
            return False
        at = end
    return True


def _stripped(column: Column) -> Column:
    if column.count(None) == len(column):
        return column
    return [each and each.strip() for each in column]


def _units_of(amounts: Column, exponent: int) -> list[int | None]:
    """Minor units of each amount, None where it cannot be read or is zero."""
    lines = "".join(f"{each}\n" for each in amounts)
    if exponent == 2 and _AMOUNTS.fullmatch(lines):
        return [int(each) or None for each in lines.replace(".", "").split()]
    return [_units(each or "", exponent) for each in amounts]


def _units(text: str, exponent: int) -> int | None:
    try:
        return parse_decimal_amount(text, exponent) or None if not text.startswith("-") else None
    except AmountUnreadable:
        return None


def _other(way: str | None) -> str | None:
    return _OUT if way == _IN else _IN if way == _OUT else None
