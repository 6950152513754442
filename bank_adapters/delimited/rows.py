"""Rows of text cells, with the line or sheet row each stands in, from delimited text or a spreadsheet."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import python_calamine

from bank_adapters.findings import Findings
from bank_adapters.limits import (
    INFLATION_FLOOR_BYTES,
    MAX_ARCHIVE_MEMBERS,
    MAX_CELL_LINE_BREAKS,
    MAX_COLUMNS,
    MAX_INFLATED_BYTES,
    MAX_INFLATION_RATIO,
    MAX_ROWS,
)
from bank_adapters.profile import Quoting

XLS_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP_MAGIC = b"PK\x03\x04"
_FLOAT_DIGITS = 15  # an IEEE double keeps 15 decimal digits for sure


@dataclass(slots=True)
class Row:
    """Cells of one row and the 1-based line (or sheet row) where it begins."""

    line: int
    cells: tuple[str, ...]


def text_rows(text: str, delimiter: str, findings: Findings | None, quoting: Quoting = Quoting.STRICT) -> Iterator[Row]:
    """Rows of delimited text (line ends already LF). A quotation mark never closed is a finding, not an endless cell."""
    if quoting is Quoting.BACKTICK:
        yield from _backtick_rows(text, delimiter)
        return
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=quoting is Quoting.STRICT)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            if findings is not None:
                findings.add("unclosed_quote", line=line)
            continue
        if reader.line_num > line + MAX_CELL_LINE_BREAKS and any(cell.count("\n") > MAX_CELL_LINE_BREAKS for cell in cells):
            if findings is not None:
                findings.add("unclosed_quote", line=line)
            continue
        yield Row(line, tuple(cells))


def _backtick_rows(text: str, delimiter: str) -> Iterator[Row]:
    """WeChat Pay bills: below the header every cell begins with a backtick, so a name may hold commas and quotation marks."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        if line.startswith("`"):
            yield Row(number, tuple(line[1:].split(f"{delimiter}`")))
        else:
            yield Row(number, tuple(line.split(delimiter)))


class SheetRefused(ValueError):
    """The spreadsheet cannot be read, or is larger than allowed; the message says which."""


def sheet_kind(data: bytes) -> str | None:
    """``xls`` or ``xlsx`` by the bytes, whatever the file is called; None for neither."""
    if data.startswith(XLS_MAGIC):
        return "xls"
    if data.startswith(ZIP_MAGIC) and (b"xl/workbook" in data or b"[Content_Types].xml" in data):
        return "xlsx"
    return None


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
    except Exception as problem:  # calamine raises several unrelated types, a Rust panic among them
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
                with archive.open(member) as stream:
                    while chunk := stream.read(1 << 20):
                        inflated += len(chunk)
                        if inflated > budget:
                            raise SheetRefused(f"an archive that inflates to more than {budget} bytes")
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, OSError, EOFError, ValueError) as problem:
        if isinstance(problem, SheetRefused):
            raise
        raise SheetRefused(f"a broken archive ({problem})") from problem


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


def head_of(rows: Iterable[Row], count: int) -> Sequence[Row]:
    """The first ``count`` rows."""
    head: list[Row] = []
    for row in rows:
        head.append(row)
        if len(head) >= count:
            break
    return head
