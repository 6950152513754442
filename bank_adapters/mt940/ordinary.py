"""Ordinary movements of a large file by column: many :61: with their :86: at once, without events and fields between.

A movement is ordinary when nothing about it can become a finding: days of the calendar, an amount with two decimals that is not
zero, one :86:, and another :61: behind it. Anything else is left to ``scanner`` and ``reader``, which say the same of ordinary
movements (``tests/bank_adapters/test_lanes.py`` holds the two against each other).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, zip_longest
from operator import add

from bank_adapters.dates import DateUnreadable
from bank_adapters.mt940.details import read_details
from bank_adapters.mt940.fields import MARKS, read_days
from bank_adapters.mt940.german import DetailColumns, GermanColumns
from bank_adapters.packing import PackedColumns
from bank_adapters.references import meaningful_ones, reference_sets

#: A line that goes on with the field before it, whatever it says: no tag, no mark of the end or the envelope, not blank.
_FURTHER = r"(?:(?![:\-{X\s\x00-\x04\x1a\ufeff]).+(?<![\x00-\x04\x1a])\n)"
#: :61: as a whole, its days, mark, whole amount, cents, type, references; further lines; :86: and its further lines.
_MOVEMENT = (
    r":61:(([0-9]{6}(?:[0-9]{4})?)(R?[CD])[A-Z]?([0-9]{1,15}),([0-9]{2})([NFS][A-Z0-9]{3})(.*))\n"
    rf"({_FURTHER}*+):86:(.*)\n({_FURTHER}*+)"
)
_EACH = re.compile(_MOVEMENT)
_RUN = re.compile(rf"(?:{re.sub(r'[(](?![?])', '(?:', _MOVEMENT)}(?=:61:))*+")
_MOST_DAYS = 4096
_GERMAN_HEAD = len("166?00")


class Ordinary:
    """What is remembered from one run of movements to the next: days, and the layout of :86:."""

    def __init__(self) -> None:
        self._days: dict[str, tuple[int, int] | None] = {}
        self._german = GermanColumns()

    def run(self, text: str, at: int, number: int, currency: str) -> tuple[int, int, PackedColumns]:
        """The ordinary movements from ``at`` on: how many, how many lines they take (the first is line ``number``), columns.

        The currency has two decimals.
        """
        end = _RUN.match(text, at).end()  # type: ignore[union-attr]  # matches always, perhaps nothing
        movements = _EACH.findall(text, at, end)
        if not movements:
            return 0, 0, ()
        count = len(movements)
        days, whole, cents = ([each[group] for each in movements] for group in (1, 3, 4))
        dated = self._read_days(days)
        units = list(map(int, map(add, whole, cents)))
        if None in dated or 0 in units:
            count = min(dated.index(None) if None in dated else count, units.index(0) if 0 in units else count)
            if not count:
                return 0, 0, ()
            dated, units = dated[:count], units[:count]
        sources, _, marks, _, _, codes, references, further, details, more = zip(*movements[:count], strict=True)
        lines = [2] * count
        if any(further) or any(more):
            lines = [2 + one.count("\n") + other.count("\n") for one, other in zip(further, more, strict=True)]
        *numbers, after = accumulate(lines, initial=number)
        description, name, account, end_to_end, own, _ = self._details(details, more)
        if any(further):
            description = list(map(_supplemented, description, further))
        customer, bank = zip(*[each.partition("//")[::2] for each in references], strict=True)
        banks = meaningful_ones(bank)
        directions = {mark: MARKS[mark] for mark in set(marks)}
        reversals = [directions[each][1] for each in marks] if any(each[1] for each in directions.values()) else (False,)
        columns = (
            [each[0] for each in dated if each], [each[1] for each in dated if each], [directions[each][0] for each in marks],
            units, (currency,), ("BOOKED",), numbers, banks, end_to_end,
            reference_sets((banks, end_to_end, meaningful_ones(customer), *own), description), name, account, description,
            reversals, codes, (None,), (None,), (None,), sources, (None,),
        )  # fmt: skip
        return count, after - number, columns

    def _read_days(self, texts: Sequence[str]) -> list[tuple[int, int] | None]:
        """Booking and value date as ordinals; None where one is no day of the calendar."""
        known = self._days
        for text in set(texts).difference(known):
            if len(known) >= _MOST_DAYS:
                known.clear()
            known[text] = _ordinals(text)
        return [known[text] if text in known else _ordinals(text) for text in texts]

    def _details(self, first: Sequence[str], more: Sequence[str]) -> DetailColumns:
        """:86: by column where it is laid out alike in all, else one by one."""
        texts, whole = first, True
        if any(more):
            texts = [one + other.replace("\n", "") for one, other in zip(first, more, strict=True)]
            whole = min(map(len, first)) >= _GERMAN_HEAD  # a shorter first line does not tell the dialect
        if whole and (found := self._german.read(texts)):
            return found
        each = [read_details(one, other.split("\n")[:-1]) for one, other in zip(first, more, strict=True)]
        references = zip_longest(*(one.references for one in each))
        return DetailColumns(
            [one.description for one in each], [one.name for one in each], [one.account for one in each],
            [one.end_to_end_reference for one in each], tuple(references), [one.transaction_code for one in each],
        )  # fmt: skip


def _ordinals(text: str) -> tuple[int, int] | None:
    try:
        value, entry = read_days(text[:6], text[6:] or None)
    except DateUnreadable:
        return None
    if value.clamped or (entry is not None and entry.clamped):
        return None
    return (value.day if entry is None else entry.day).toordinal(), value.day.toordinal()


def _supplemented(description: str | None, further: str) -> str | None:
    """The text of :86: and that below :61:."""
    text = " ".join(line.strip() for line in further.split("\n")[:-1])
    return f"{description} {text}" if description and text else description or text or None
