"""Tables of text, and CSV that a spreadsheet cannot mistake for formulas."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

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
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow([safe_cell(cell) for cell in row])
            count += 1
    return count
