"""One shape for every report that is a table: typed columns, rows, and the lines that say what was asked and when.

The same table becomes a screen, JSON, CSV or a workbook. Rows may be a stream: a journal of millions is never held whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from calendars import BUSINESS_TIME_ZONE
from money import Money

Language = Literal["en", "zh"]
Cell = str | int | Money | date | datetime | UUID | None


class ColumnType(StrEnum):
    """What the cells of a column are. A money column holds ``Money``; its currency stands in a column of its own."""

    TEXT = "text"
    INTEGER = "integer"
    MONEY = "money"
    DATE = "date"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: ``key`` for programs, a title in each language for people.

    ``on_screen``: whether it fits a terminal; files carry every column.
    """

    key: str
    en: str
    zh: str
    type: ColumnType = ColumnType.TEXT
    on_screen: bool = True

    def title(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Fact:
    """A line above the table, such as "as of": what the figures hold for."""

    key: str
    en: str
    zh: str
    value: str

    def label(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A report. ``rows`` is read once, unless it is a sequence; each row has one cell for each column.

    ``totals`` stand below the rows on screen and in a workbook; a CSV file has rows only, so that a program can sum them.
    """

    key: str
    en: str
    zh: str
    columns: tuple[Column, ...]
    rows: Iterable[Sequence[Cell]]
    facts: tuple[Fact, ...] = ()
    totals: tuple[Sequence[Cell], ...] = field(default=())

    def title(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en

    def json_rows(self) -> Iterator[dict[str, Any]]:
        """Rows as JSON objects: amounts as decimal text, dates and instants in ISO 8601."""
        keys = [column.key for column in self.columns]
        for row in self.rows:
            yield {key: cell_as_json(cell) for key, cell in zip(keys, row, strict=True)}

    def as_json(self) -> dict[str, Any]:
        """The whole report as one JSON object; for reports that fit in memory."""
        return {
            "report": self.key,
            **{fact.key: fact.value for fact in self.facts},
            "rows": list(self.json_rows()),
            "totals": [
                {column.key: cell_as_json(cell) for column, cell in zip(self.columns, row, strict=True) if cell is not None}
                for row in self.totals
            ],
        }


def cell_as_json(cell: Cell) -> str | int | None:
    """A cell as JSON carries it: no floats, so no amount is ever rounded."""
    return cell if isinstance(cell, int) else None if cell is None else cell_as_text(cell)


def cell_as_text(cell: Cell) -> str:
    """A cell as text for files: plain decimal amounts, ISO dates, instants with their offset."""
    match cell:
        case None:
            return ""
        case Money():
            return cell.plain
        case date():  # a datetime is one, too
            return cell.isoformat()
        case _:
            return str(cell)


def cell_for_people(cell: Cell) -> str:
    """A cell as a screen shows it: grouped amounts, instants to the minute in Shanghai."""
    match cell:
        case Money():
            return cell.grouped
        case datetime():
            return f"{cell.astimezone(BUSINESS_TIME_ZONE):%Y-%m-%d %H:%M}"
        case _:
            return cell_as_text(cell)


def standard_facts(
    *, as_of: date | None, known_at: datetime | None, scope: str | None, printed_by: str, printed_at: datetime
) -> tuple[Fact, ...]:
    """The lines every report carries: what it holds for, whose accounts, who printed it and when."""
    return (
        Fact("as_of", "as of", "截至", as_of.isoformat() if as_of else "now"),
        Fact("known_at", "as known at", "按当时所知", known_at.isoformat() if known_at else "now"),
        Fact("jurisdiction", "jurisdiction", "管辖范围", scope or "all"),
        Fact("printed_by", "printed by", "制表人", printed_by),
        Fact("printed_at", "printed at", "制表时间", cell_for_people(printed_at)),
    )
