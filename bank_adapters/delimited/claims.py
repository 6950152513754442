"""Which table profile a file belongs to: the one whose column names its header row has, no more and no fewer.

A column no profile knows is not skipped over: it may be the one that turns a payment into a reversal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bank_adapters.delimited.rows import Row
from bank_adapters.limits import MAX_HEADER_ROW
from bank_adapters.profile import Column, TableLayout, normalised_label


@dataclass(frozen=True, slots=True)
class Header:
    """Where the header row stands (index into the rows) and which profile column each of its cells is."""

    index: int
    columns: tuple[Column | None, ...]


@dataclass(frozen=True, slots=True)
class NearMiss:
    """How far the best row was from being this profile's header."""

    known: int
    missing: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def reason(self) -> str:
        """In words, for the finding."""
        parts = []
        if self.missing:
            parts.append("columns missing: " + ", ".join(self.missing))
        if self.unknown:
            parts.append("columns not known: " + ", ".join(self.unknown))
        return "; ".join(parts)


def find_header(rows: Sequence[Row], layout: TableLayout) -> Header | NearMiss:
    """The header row of ``layout`` among the first rows, or the nearest miss."""
    by_name = {normalised_label(name): column for column in layout.columns for name in column.names}
    best = NearMiss(0, tuple(column.name for column in layout.columns if not column.optional), ())
    for index, row in enumerate(rows[:MAX_HEADER_ROW]):
        names = [normalised_label(cell) for cell in row.cells]
        columns = tuple(by_name.get(name) for name in names)
        held = [column for column in columns if column is not None]
        if len(held) < 2:
            continue
        unknown = tuple(cell.strip() for cell, name, column in zip(row.cells, names, columns, strict=True) if name and not column)
        missing = tuple(column.name for column in layout.columns if not column.optional and column not in held)
        if not unknown and not missing and len(set(map(id, held))) == len(held):
            return Header(index, columns)
        if len(held) > best.known:
            best = NearMiss(len(held), missing, unknown)
    return best
