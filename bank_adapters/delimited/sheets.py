"""Rows of text cells from .xls and .xlsx, told by their bytes whatever the file is called."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import python_calamine

from bank_adapters.archives import BROKEN_ARCHIVE
from bank_adapters.delimited.rows import Row
from bank_adapters.limits import (
    INFLATION_FLOOR_BYTES,
    MAX_ARCHIVE_MEMBERS,
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_INFLATED_BYTES,
    MAX_INFLATION_RATIO,
    MAX_ROWS,
)
from bank_adapters.sources import Source

XLS_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP_MAGIC = b"PK\x03\x04"
_CELL = re.compile(rb"""<(?:[a-z]+:)?c\b[^<>]{0,200}?\br=["']([A-Z]{1,4})([0-9]{1,8})["']""")
_FLOAT_DIGITS = 15  # an IEEE double keeps 15 decimal digits for sure


class SheetRefused(ValueError):
    """The spreadsheet cannot be read, or is larger than allowed; the message says which."""


def sheet_kind(head: bytes, source: Source) -> str | None:
    """``xls`` or ``xlsx`` by the bytes, whatever the file is called; None for neither."""
    if head.startswith(XLS_MAGIC):
        return "xls"
    if not head.startswith(ZIP_MAGIC):
        return None
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        names = []  # a broken sheet is told by the first name in it
        if b"[Content_Types].xml" in head or b"xl/" in head:
            return "xlsx"
    return "xlsx" if "[Content_Types].xml" in names or any(name.startswith("xl/") for name in names) else None


@dataclass(slots=True)
class Sheet:
    """A sheet with content: its name and its rows that are not empty."""

    name: str
    rows: list[Row]


def sheets_of(data: bytes, kind: str) -> list[Sheet]:
    """The sheets with content, in order. Raises SheetRefused."""
    if kind == "xlsx":
        _check_archive(data)
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = [book.get_sheet_by_index(index) for index in range(len(book.sheet_names))]
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as problem:  # calamine raises unrelated types; a Rust panic is no Exception
        raise SheetRefused(str(problem) or type(problem).__name__) from problem
    found: list[Sheet] = []
    for sheet in sheets:
        if sheet.height > MAX_ROWS or sheet.width > MAX_COLUMNS:
            raise SheetRefused(f"sheet of {sheet.height} rows and {sheet.width} columns")
        rows = [
            Row(number, tuple(map(cell_text, cells))) for number, cells in enumerate(sheet.to_python(skip_empty_area=False), 1)
        ]
        rows = [row for row in rows if any(cell.strip() for cell in row.cells)]
        if rows:
            found.append(Sheet(sheet.name, rows))
    return found


def _check_archive(data: bytes) -> None:
    """A zip may lie about its sizes: inflate every member once against a budget, keeping nothing."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MAX_ARCHIVE_MEMBERS:
                raise SheetRefused(f"an archive of {len(members)} members")
            budget = min(MAX_INFLATED_BYTES, max(INFLATION_FLOOR_BYTES, MAX_INFLATION_RATIO * len(data)))
            inflated = 0
            for member in members:
                if member.flag_bits & 1:
                    raise SheetRefused("an encrypted archive")
                corner = _Corner() if member.filename.startswith("xl/worksheets/") else None
                with archive.open(member) as stream:
                    while chunk := stream.read(1 << 20):
                        inflated += len(chunk)
                        if inflated > budget:
                            raise SheetRefused(f"an archive that inflates to more than {budget} bytes")
                        if corner is not None:
                            corner.take(chunk)
    except BROKEN_ARCHIVE as problem:
        if isinstance(problem, SheetRefused):
            raise
        raise SheetRefused(f"a broken archive ({problem})") from problem


class _Corner:
    """The furthest cell of a sheet. Two cells far apart make the reader allocate every cell between them."""

    def __init__(self) -> None:
        self.row = self.column = 0
        self.tail = b""

    def take(self, chunk: bytes) -> None:
        """Look at the next piece of the sheet's XML. Raises SheetRefused."""
        text = self.tail + chunk
        for letters, digits in _CELL.findall(text):
            column = 0
            for letter in letters:
                column = column * 26 + letter - 64
            self.column = max(self.column, column)
            self.row = max(self.row, int(digits))
        self.tail = text[-40:]
        if self.row > MAX_ROWS or self.column > MAX_COLUMNS or self.row * self.column > MAX_CELLS:
            raise SheetRefused(f"a sheet that reaches to row {self.row} and column {self.column}")


def cell_text(cell: object) -> str:
    """A sheet's cell as text: numbers by the 15 digits a double keeps (later ones as 1.2e+18, which no grammar takes)."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, float):
        text = format(cell, f".{_FLOAT_DIGITS}g")
        return text if "e-" not in text else format(cell, ".15f").rstrip("0").rstrip(".")
    if isinstance(cell, int):
        return str(cell) if abs(cell) < 10**_FLOAT_DIGITS else format(float(cell), f".{_FLOAT_DIGITS}e")
    if isinstance(cell, datetime):
        return cell.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, time):
        return cell.strftime("%H:%M:%S")
    if isinstance(cell, timedelta):
        return str(cell)
    return ""
