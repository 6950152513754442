"""The workbook of an evidence pack: typed cells, amounts exact, nothing that runs. Its rows are those the verifier expects."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter

#: The same books give the same bytes, so the workbook does not say when it was written.
_CREATED = datetime(1980, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def write_workbook(path: Path, sheets: Iterable[tuple[str, Iterable[list[tuple[str, str]]]]]) -> None:
    """Write sheets of (type, text) cells; types are text, number (a decimal without loss) and date (ISO)."""
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(path, options) as book:
        book.set_properties({"created": _CREATED, "title": "prepaid-escrow evidence pack"})
        formats = {
            "number": book.add_format({"num_format": "#,##0.00"}),
            "date": book.add_format({"num_format": "yyyy-mm-dd"}),
            "head": book.add_format({"bold": True}),
        }
        for title, rows in sheets:
            sheet = book.add_worksheet(title)
            sheet.freeze_panes(1, 0)
            for row, cells in enumerate(rows):
                for column, (kind, value) in enumerate(cells):
                    _write(sheet, row, column, kind, value, formats)
            sheet.set_column(0, 10, 22)


def _write(  # noqa: PLR0917  a cell, its place and its looks
    sheet: Any, row: int, column: int, kind: str, value: str, formats: dict[str, Any]
) -> None:
    if kind == "number":
        sheet.write_number(row, column, Decimal(value), formats["number"])
    elif kind == "date":
        sheet.write_datetime(row, column, date.fromisoformat(value), formats["date"])
    else:
        sheet.write_string(row, column, value, formats["head"] if row == 0 else None)
