"""Tables of text, and CSV that a spreadsheet cannot mistake for formulas."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from reports.report_table import ReportTable, cell_as_text

#: A cell that begins so is run as a formula by spreadsheets (OWASP, CSV injection). Full-width forms count in Asian locales.
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)


def safe_cell(value: object) -> str:
    """Text of a cell that no spreadsheet runs: what looks like a formula gets a leading apostrophe; plain numbers stay."""
    text = "" if value is None else str(value)
    if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write rows under a header as UTF-8 with a byte order mark (so that spreadsheets read Chinese); the number of rows."""
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8-sig", newline="") as stream:
        return _write(stream, header, ([safe_cell(cell) for cell in row] for row in rows))


def write_report_csv(table: ReportTable, target: Path | TextIO) -> int:
    """Write a report's rows under its column keys, to a file (whole or not at all) or an open stream; the number of rows."""
    header = [column.key for column in table.columns]
    if isinstance(target, Path):
        return write_csv(target, header, ([cell_as_text(cell) for cell in row] for row in table.rows))
    return _write(target, header, ([safe_cell(cell_as_text(cell)) for cell in row] for row in table.rows))


def _write(stream: TextIO, header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    count = 0
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow(row)
        count += 1
    return count


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write beside ``path`` that takes its place at the end; what is interrupted leaves ``path`` as it was."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
