"""Bytes of an import file into rows of text: CSV with a header, or JSON lines. Nothing here knows what the columns mean.

The input is bounded and nothing in it is trusted: every bad row is a finding with its line, and the good rows are kept. A
row is one line of the file (line breaks inside quotes are refused), so that one broken quote spoils one row and not the
rest of the file.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LARGEST_FILE_BYTES = 200_000_000
LONGEST_LINE_BYTES = 10_000
MOST_ROWS = 1_000_000

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEADER_LINE = 1


@dataclass(frozen=True, slots=True)
class ImportFinding:
    """Something wrong with one row (or, at line 0, with the file). ``field`` is the column, '' for the whole row.

    ``line`` is the 1-based line of the file as received. ``refused``: whether the row was refused, or taken and flagged.
    ``subject`` is the row's own key, as far as it could be read.
    """

    line: int
    field: str
    code: str
    reason: str
    refused: bool = True
    subject: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as text by column name. ``line`` is its 1-based line."""

    line: int
    cells: dict[str, str]


class FileRefused(ValueError):
    """Nothing of the file can be read; ``findings`` say why."""

    def __init__(self, *findings: ImportFinding) -> None:
        self.findings = findings
        super().__init__("; ".join(finding.reason for finding in findings))


class ColumnsRefused(FileRefused):
    """The columns (CSV) or keys (first JSON line) are not those asked for; ``names`` are the ones given."""

    def __init__(self, names: tuple[str, ...], *findings: ImportFinding) -> None:
        self.names = names
        super().__init__(*findings)


def _refuse_file(code: str, reason: str, line: int = 0, field: str = "") -> FileRefused:
    return FileRefused(ImportFinding(line, field, code, reason))


def read_rows(data: bytes, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Iterator[RawRow | ImportFinding]:
    """Each row of the file, or the finding that says why a line is none; blank lines are skipped.

    A JSON-lines file begins with ``{``; anything else is CSV whose first line names the columns, in any order. Raises
    FileRefused when the file is too large, empty, not text, or has missing, unknown or repeated columns.
    """
    if len(data) > LARGEST_FILE_BYTES:
        raise _refuse_file("file_too_large", f"the file is longer than {LARGEST_FILE_BYTES} bytes; split it")
    body = data.removeprefix(_BYTE_ORDER_MARK)
    if not body.strip():
        raise _refuse_file("file_empty", "the file is empty; send at least its header line")
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refuse_file("not_utf8", "the file is UTF-16; save it as UTF-8")
    if foreign := foreign_format(body):
        raise _refuse_file("wrong_kind_of_file", f"the file looks like {foreign}")
    lines = enumerate(body.split(b"\n"), start=1)
    if body.lstrip().startswith(b"{"):
        yield from _bounded(_json_rows(lines, required, optional))
    else:
        yield from _bounded(_csv_rows(lines, required, optional))


_SPREADSHEET = "a spreadsheet or archive; save the sheet as CSV (UTF-8) and give that"
_STATEMENT = (
    "{}, perhaps a bank's statement; look into it with: escrow parse FILE, "
    "take it in with: escrow statement receive FILE --sender BANK"
)
#: How files begin that are neither CSV nor JSON lines, and what to do with them.
_FOREIGN_BEGINNINGS = (
    (b"{1:", _STATEMENT.format("a SWIFT message")),
    (b":20:", _STATEMENT.format("a SWIFT message")),
    (b"<", _STATEMENT.format("XML")),
    (b"PK\x03\x04", _SPREADSHEET),
    (b"\xd0\xcf\x11\xe0", _SPREADSHEET),
    (b"\x1f\x8b", "a compressed file; unpack it and give what is in it"),
    (b"%PDF", "a PDF; ask the sender for CSV or JSON lines (docs/file-formats.md)"),
    (b"[", "a JSON array; write one object a line, without the brackets and the commas between them"),
    (b"PAR1", "a Parquet file; ask the sender for CSV or JSON lines (docs/file-formats.md)"),
)
#: Control bytes no text has: with one of them on its first line a file is binary.
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def foreign_format(body: bytes) -> str:
    """What a file plainly is when it is no text of rows, with the next step; '' when it may be one."""
    start = body.lstrip()[:4096]
    for beginning, what in _FOREIGN_BEGINNINGS:
        if start.startswith(beginning):
            return what
    if _BINARY.search(start.split(b"\n", 1)[0]):
        return "a binary file; give CSV (UTF-8) with a header line, or JSON lines (docs/file-formats.md)"
    return ""


def _bounded(rows: Iterator[RawRow | ImportFinding]) -> Iterator[RawRow | ImportFinding]:
    for count, row in enumerate(rows, start=1):
        if count > MOST_ROWS:
            raise _refuse_file("too_many_rows", f"the file has more than {MOST_ROWS} rows; split it", row.line)
        yield row


def _text(line: int, raw: bytes) -> str | ImportFinding:
    if len(raw) > LONGEST_LINE_BYTES:
        return ImportFinding(line, "", "line_too_long", f"the line is longer than {LONGEST_LINE_BYTES} bytes")
    if b"\0" in raw:
        return ImportFinding(line, "", "nul_byte", "the line holds a NUL byte")
    try:
        return raw.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        return ImportFinding(line, "", "not_utf8", f"byte {error.start + 1} of the line is not UTF-8; save the file as UTF-8")


def _cells(text: str) -> list[str]:
    """The cells of one line. Raises ValueError when its quotes are broken."""
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader((text,), strict=True))
    except csv.Error:
        raise ValueError("the quotes of the line do not match (a line break inside quotes is not accepted)") from None


def _csv_rows(
    lines: Iterator[tuple[int, bytes]], required: tuple[str, ...], optional: tuple[str, ...]
) -> Iterator[RawRow | ImportFinding]:
    header: list[str] | None = None
    for line, raw in lines:
        if not raw.strip():
            continue
        text = _text(line, raw)
        if header is None:
            header = _header(line, text, required, optional)
            continue
        if isinstance(text, ImportFinding):
            yield text
            continue
        try:
            cells = _cells(text)
        except ValueError as error:
            yield ImportFinding(line, "", "broken_quotes", str(error))
            continue
        if len(cells) != len(header):
            yield ImportFinding(line, "", "ragged_row", f"the row has {len(cells)} cells, the header {len(header)}")
            continue
        yield RawRow(line, dict(zip(header, cells, strict=True)))


def _header(line: int, text: str | ImportFinding, required: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    if isinstance(text, ImportFinding):
        raise FileRefused(text)
    for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if "," not in text and text.count(mark) >= 2:
            raise _refuse_file("wrong_separator", f"the columns are divided by {word}; save the file with commas", line)
    try:
        names = [name.strip() for name in _cells(text)]
    except ValueError as error:
        raise _refuse_file("broken_quotes", str(error), line) from None
    findings = [
        ImportFinding(line, name[:100], "unknown_column", f"{name[:100]!r} is not a column of this file")
        for name in names
        if name not in required and name not in optional
    ]
    findings += [
        ImportFinding(line, name, "missing_column", f"the column {name} is missing from the first line")
        for name in required
        if name not in names
    ]
    findings += [
        ImportFinding(line, name, "repeated_column", f"the column {name} is given twice")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if findings:
        raise ColumnsRefused(tuple(names), *findings)
    return names


def _json_rows(
    lines: Iterator[tuple[int, bytes]], required: tuple[str, ...], optional: tuple[str, ...]
) -> Iterator[RawRow | ImportFinding]:
    first = True
    for line, raw in lines:
        if not raw.strip():
            continue
        text = _text(line, raw)
        row = text if isinstance(text, ImportFinding) else _json_row(line, text, required, optional)
        if first and isinstance(row, ImportFinding) and isinstance(text, str):
            _refuse_other_keys(row, text, required)
        first = False
        yield row


def _refuse_other_keys(finding: ImportFinding, text: str, required: tuple[str, ...]) -> None:
    """Refuse the file when its first object has fewer than half of the keys: every line would say the same."""
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(keys, dict) and 2 * len(keys.keys() & set(required)) < len(required) and len(keys) > 1:
        raise ColumnsRefused(tuple(map(str, keys)), finding)


class _Repeated(ValueError):
    """A key stands twice in one object."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Repeated
    return found


def _json_row(line: int, text: str, required: tuple[str, ...], optional: tuple[str, ...]) -> RawRow | ImportFinding:
    try:
        # Numbers with a fraction stay text here, so that they are refused as such and never become a float.
        found = json.loads(text, object_pairs_hook=_object, parse_float=_NotText, parse_constant=_NotText)
    except _Repeated:
        return ImportFinding(line, "", "repeated_column", "a key stands twice in the line")
    except (ValueError, RecursionError):
        return ImportFinding(line, "", "not_json", "the line is not a JSON object")
    if not isinstance(found, dict):
        return ImportFinding(line, "", "not_json", "the line is not a JSON object")
    cells: dict[str, str] = {}
    for name, value in found.items():
        if name not in required and name not in optional:
            return ImportFinding(line, name[:100], "unknown_column", "the line has a key this file does not know")
        if value is None:
            cells[name] = ""
        elif type(value) is int:
            cells[name] = str(value)
        elif isinstance(value, str):
            cells[name] = value
        else:
            return ImportFinding(line, name, "not_text", "the value must be text in quotes (or a whole number)")
    for name in required:
        if name not in cells:
            return ImportFinding(line, name, "missing_column", f"the key {name} is missing")
    return RawRow(line, cells)


class _NotText:
    """A JSON number with a fraction, or NaN: refused wherever it stands."""

    def __init__(self, _text: str) -> None:
        pass
