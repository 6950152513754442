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
_CELL_OR_ROW = re.compile(rb"<(?:[^\s<>]*:)?(?:c|row)(?=[\s/>])")
_ATTRIBUTE = rb"""\s+[A-Za-z][\w:.-]*\s*=\s*(?:"[^"<>&]*"|'[^'<>&]*')"""
# A cell or a row, the place it names (a row's has no letters), and its other attributes.
_PLACED = re.compile(
    rb"""<(?:[A-Za-z][\w.-]*:)?(c|row)(?:\s+r\s*=\s*["']([A-Z]{0,3})([0-9]{1,7})["'])?((?:""" + _ATTRIBUTE + rb")*+)\s*/?>"
)
_OWN_PLACE = re.compile(rb"""\sr\s*=\s*["']([^"']*)""")
_PLACE = re.compile(rb"([A-Z]{0,3})([0-9]{1,7})")
_NOT_PLAIN = "a sheet whose cells are not written plainly"
#: What the library would try to read besides .xlsx, without the checks below.
_OTHER_KINDS = frozenset({"xl/workbook.bin", "content.xml", "mimetype"})
_LONGEST_TAG = 1 << 16
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
        if sheet.height > MAX_ROWS or sheet.width > MAX_COLUMNS or sheet.height * sheet.width > MAX_CELLS:
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
            if {member.filename.lower().replace("\\", "/") for member in members} & _OTHER_KINDS:
                raise SheetRefused("a workbook that is not only .xlsx (.xlsb, .ods); ask for .xlsx")
            budget = min(MAX_INFLATED_BYTES, max(INFLATION_FLOOR_BYTES, MAX_INFLATION_RATIO * len(data)))
            inflated = cells = 0
            for member in members:
                if member.flag_bits & 1:
                    raise SheetRefused("an encrypted archive")
                corner = _Corner()
                with archive.open(member) as stream:
                    while chunk := stream.read(1 << 20):
                        inflated += len(chunk)
                        if inflated > budget:
                            raise SheetRefused(f"an archive that inflates to more than {budget} bytes")
                        corner.take(chunk)
                corner.end()
                cells += corner.row * corner.column
                if cells > MAX_CELLS:
                    raise SheetRefused(f"sheets of more than {MAX_CELLS} cells")
    except BROKEN_ARCHIVE as problem:
        if isinstance(problem, SheetRefused):
            raise
        raise SheetRefused(f"a broken archive ({problem})") from problem


class _Corner:
    """Where the cells of a sheet reach. Two far apart make the reader allocate every cell between them.

    Cells and rows must be written plainly, as every program writes them: places the reader would find and this would not are
    refused. What has no place of its own stands behind the one before, as the reader takes it.
    """

    def __init__(self) -> None:
        self.row = self.column = 0  # the furthest
        self.at_row = self.at_column = 0
        self.columns: dict[bytes, int] = {}
        self.begun = False
        self.tail = b""

    def take(self, chunk: bytes) -> None:
        """Look at the next piece of a member of the archive. Raises SheetRefused."""
        text = self.tail + chunk
        if not self.begun and b"sheetData" not in text:
            self.tail = text[-16:]
            return
        self.begun = True
        cut = text.rfind(b"<")
        text, self.tail = (text[:cut], text[cut:]) if cut >= 0 and b">" not in text[cut:] else (text, b"")
        if len(self.tail) > _LONGEST_TAG:
            raise SheetRefused(f"a tag of more than {_LONGEST_TAG} bytes")
        self._look(text)

    def end(self) -> None:
        """The member is over. Raises SheetRefused."""
        self._look(self.tail)

    def _look(self, text: bytes) -> None:
        found = _PLACED.findall(text)
        if len(found) != len(_CELL_OR_ROW.findall(text)):
            raise SheetRefused(_NOT_PLAIN)
        furthest_row, furthest_column, row, column = self.row, self.column, self.at_row, self.at_column
        columns = self.columns
        for kind, letters, digits, rest in found:
            if rest and b"r" in rest and (own := _OWN_PLACE.findall(rest)):
                if digits or len(own) > 1 or (match := _PLACE.fullmatch(own[0])) is None:
                    raise SheetRefused(_NOT_PLAIN)
                letters, digits = match.groups()  # noqa: PLW2901 - named behind other attributes
            if letters:
                if letters not in columns:
                    columns[letters] = _number_of_column(letters)
                column = columns[letters]
                if (number := int(digits)) > furthest_row:
                    furthest_row = number
            elif kind == b"row":
                row, column = int(digits) if digits else row + 1, 0  # an empty one takes no memory
            else:
                column += 1
                furthest_row = max(furthest_row, row)
            furthest_column = max(furthest_column, column)
            if bool(letters) != (kind == b"c") and digits:
                raise SheetRefused(_NOT_PLAIN)
        self.row, self.column, self.at_row, self.at_column = furthest_row, furthest_column, row, column
        if self.row > MAX_ROWS or self.column > MAX_COLUMNS or self.row * self.column > MAX_CELLS:
            raise SheetRefused(f"a sheet that reaches to row {self.row} and column {self.column}")


def _number_of_column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


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
