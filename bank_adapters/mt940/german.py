"""The German :86: of many movements by column, while all are laid out alike: the same subfields, the same ``EREF+`` keys.

The layout is learnt from one text. A text laid out otherwise makes no column; ``details`` reads such texts one by one, and both
say the same of every text (``tests/bank_adapters/test_lanes.py``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from bank_adapters.mt940.details import GERMAN, SEPA_KEYS, SPREAD, SUBFIELDS
from bank_adapters.references import meaningful_ones

Column = Sequence[str | None]
_KEY = re.compile(rf"({'|'.join(sorted(SEPA_KEYS))}|BIC)\+")


class DetailColumns(NamedTuple):
    """``Details`` of many movements; ``own`` are the columns of their references."""

    description: Column
    name: Column
    account: Column
    end_to_end_reference: Column
    own: tuple[Column, ...]
    transaction_code: Column


class _Layout(NamedTuple):
    """Parts of a text between its marks, each begun by a name: what matches texts of it, and the groups each use is made of."""

    mark: str
    pattern: re.Pattern[str]
    groups: dict[str, list[int]]
    marks: int  # in a text and behind it

    def parts(self, texts: Sequence[str]) -> list[tuple[str, ...]] | None:
        """The groups of every text, None when one is laid out otherwise.

        Texts are put one behind another with the mark between, which no group crosses. A match begins behind a mark and takes as
        many as a text of this layout has: as many matches as texts, and no mark left over, are all texts from end to end.
        """
        joined = f"{self.mark.join(texts)}{self.mark}"
        found: list[tuple[str, ...]] = self.pattern.findall(joined)
        return found if len(found) == len(texts) and joined.count(self.mark) == len(texts) * self.marks else None


def _layout(mark: str, head: str, names: Sequence[str], groups: dict[str, list[int]], *, name_first: bool) -> _Layout:
    """``head``, then the named parts; a name stands behind the mark, or in front of it and behind the part before."""
    sign = re.escape(mark)
    value = f"([^{sign}]*)"
    body = "".join(f"{sign}{name}{value}" if name_first else f"{name}{sign}{value}" for name in names)
    return _Layout(mark, re.compile(f"(?<![^{sign}]){head or value}{body}{sign}"), groups, len(names) + 1)


class GermanColumns:
    """Remembers the layout of the texts before: those that follow are mostly laid out the same."""

    def __init__(self) -> None:
        self._subfields: _Layout | None = None
        self._keys: _Layout | None = None

    def read(self, texts: Sequence[str]) -> DetailColumns | None:
        """The details of texts without line breaks, None when they are not all of one layout."""
        found = self._parted(texts)
        if found is None or self._subfields is None:
            return None
        columns = list(zip(*found, strict=True))
        uses = self._subfields.groups
        nothing: Column = (None,) * len(texts)

        def joined(use: str) -> Sequence[str] | None:
            groups = [columns[each] for each in uses.get(use, ())]
            if len(groups) < 2:
                return groups[0] if groups else None
            return [*map("".join, zip(*groups, strict=True))]

        name, label, iban, account = joined("name"), joined("label"), joined("iban"), joined("account")
        keyed = self._keyed(joined("purpose") or [""] * len(texts))
        if keyed is None:
            return None
        return DetailColumns(
            _first_of(keyed.get("SVWZ"), keyed.get(""), label and _stripped(label)) or nothing,
            _first_of(name and _stripped(name)) or nothing,
            _first_of(iban and _stripped(iban), account and _stripped(account)) or nothing,
            meaningful_ones(_first_of(keyed.get("EREF")) or nothing),
            tuple(column for key in ("KREF", "MREF") if (column := _first_of(keyed.get(key)))),
            columns[0],
        )

    def _parted(self, texts: Sequence[str]) -> list[tuple[str, ...]] | None:
        """Code and subfields of each text."""
        found = self._subfields and self._subfields.parts(texts)
        if found is None:
            self._subfields = _subfields_of(texts[len(texts) // 2])
            found = self._subfields and self._subfields.parts(texts)
        return found

    def _keyed(self, purposes: Sequence[str]) -> dict[str, list[str]] | None:
        """The stripped values of each key, and those before the first key under ''."""
        if not any("+" in purpose for purpose in purposes):
            return {"": _stripped(purposes)}
        found = self._keys and self._keys.parts(purposes)
        if found is None:
            self._keys = _keys_of(purposes[len(purposes) // 2])
            found = self._keys and self._keys.parts(purposes)
        if found is None or self._keys is None:
            return None
        columns = list(zip(*found, strict=True))
        return {key: _stripped(columns[group]) for key, (group, *_) in self._keys.groups.items()}


def _subfields_of(text: str) -> _Layout | None:
    """How the subfields of this text are laid out; for each use the groups it is read from."""
    found = GERMAN.match(text)
    if found is None:
        return None
    mark = found[2]
    numbers = [piece[:2] for piece in text[found.end() :].split(mark)]
    if not all(number in SUBFIELDS for number in numbers):
        return None
    groups: dict[str, list[int]] = {}
    for group, number in enumerate(numbers, 1):
        use = SUBFIELDS[number]
        groups[use] = [*groups.get(use, ()), group] if use in SPREAD else [group]
    return _layout(mark, "([0-9]{3})", numbers, groups, name_first=True)


def _keys_of(purpose: str) -> _Layout | None:
    """How the keys of this purpose are laid out; of a key that comes twice the first value counts."""
    keys = _KEY.findall(purpose)
    if not keys or len(keys) != purpose.count("+"):
        return None
    groups: dict[str, list[int]] = {"": [0]}
    for group, key in enumerate(keys, 1):
        groups.setdefault(key, [group])
    return _layout("+", "", keys, groups, name_first=False)


def _stripped(column: Sequence[str]) -> list[str]:
    return [*map(str.strip, column)]


def _first_of(*columns: Sequence[str] | None) -> Column | None:
    """Of each row the first value that is not empty, None for none; no column when there is none."""
    held = [column for column in columns if column and any(column)]
    if not held:
        return None
    first, *others = held
    if "" not in first:
        return first
    if not others:
        return [each or None for each in first]
    return [next(filter(None, row), None) for row in zip(*held, strict=True)]
