"""What profiles make of a file, and what to write for a bank no profile knows: the answers of ``escrow profile test``.

Guesses are for people to check, never used to read money: a proposal names what it took for what, and the reading that decides
is that of the profile somebody wrote down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bank_adapters.decoding import Text, Undecodable, decode
from bank_adapters.delimited.claims import Header, find_header
from bank_adapters.delimited.markup import markup_kind, markup_sheets
from bank_adapters.delimited.rows import Row, head_of, text_rows
from bank_adapters.delimited.sheets import SheetRefused, sheet_kind, sheets_of
from bank_adapters.findings import masked
from bank_adapters.limits import MAX_HEADER_ROW
from bank_adapters.profile import Column, ColumnField, DirectionRule, Profile, TableLayout, normalised_label
from bank_adapters.sources import Source
from bank_adapters.text_lines import Lines

_DELIMITERS = (",", "\t", ";", "|")
_MARKS_IN = ("贷", "收入", "存入", "C", "CR", "IN", "Credit")
_ROWS_LOOKED_AT = 400


@dataclass(frozen=True, slots=True)
class Nearness:
    """How a profile's table fits: columns it knows, lacks and does not know."""

    profile: str
    known: int
    missing: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return not self.missing and not self.unknown


@dataclass(frozen=True, slots=True)
class ColumnSeen:
    """A column: its header, what the profile (or the proposal) takes it for, how many cells are filled, one of them."""

    header: str
    field: str | None
    filled: int
    sample: str


@dataclass(slots=True)
class Explanation:
    """All that could be said of the file as a table. ``header_line`` is None when no header row was found."""

    delimiter: str = ","
    header_line: int | None = None
    rows: int = 0
    profile: str | None = None
    columns: list[ColumnSeen] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)  # above the table
    nearest: list[Nearness] = field(default_factory=list)
    proposal: str = ""  # YAML


def explain(path: Path, profiles: Sequence[Profile]) -> Explanation:
    """Look at a file as a table by each profile's eyes. Raises OSError."""
    tables = [(profile, profile.table) for profile in profiles if profile.table is not None]
    for delimiter, rows in _parted(Source(path)):
        for profile, layout in tables:
            if layout.delimiter == delimiter and isinstance(header := find_header(rows, layout), Header):
                return _seen(rows, header.index, header.columns, delimiter, profile.id)
    best = max(_parted(Source(path)), key=lambda parted: _width(parted[1]), default=None)
    if best is None or _width(best[1]) < 3:
        return Explanation()
    delimiter, rows = best
    index = _header_index(rows)
    known = _known_names([layout for _, layout in tables])
    columns = tuple(_proposed(cell, known) for cell in rows[index].cells)
    found = _seen(rows, index, columns, delimiter, None)
    names = {normalised_label(cell) for cell in rows[index].cells if cell.strip()}
    found.nearest = sorted((_near(profile, layout, rows[index], names) for profile, layout in tables), key=_by_nearness)[:3]
    found.proposal = _yaml(found, rows[index + 1 :], columns)
    return found


def _parted(source: Source) -> list[tuple[str, Sequence[Row]]]:
    """The first rows of the file for each way its cells may be parted; a sheet has one."""
    head = source.head(4096)
    try:
        if kind := sheet_kind(head, source):
            sheets = sheets_of(source.whole(), kind)
            return [(",", sheets[0].rows[:_ROWS_LOOKED_AT])] if sheets else []
        text: Text = decode(source)
        if kind := markup_kind(text.head):
            sheets = markup_sheets(text.whole(), kind)
            return [(",", sheets[0].rows[:_ROWS_LOOKED_AT])] if sheets else []
    except (SheetRefused, Undecodable):
        return []
    return [
        (mark, head_of(text_rows(Lines([text.head]), mark, None), _ROWS_LOOKED_AT)) for mark in _DELIMITERS if mark in text.head
    ]


def _width(rows: Sequence[Row]) -> int:
    """How many cells most rows have, when that is more than one."""
    counts = Counter(len(row.cells) for row in rows if any(cell.strip() for cell in row.cells))
    return max((width for width, count in counts.items() if count > 1 or width > 4), default=0)


def _header_index(rows: Sequence[Row]) -> int:
    """The first row as wide as the table whose cells are texts, none of them a figure."""
    width = max(sum(bool(cell.strip()) for cell in row.cells) for row in rows[:MAX_HEADER_ROW])
    for index, row in enumerate(rows[:MAX_HEADER_ROW]):
        filled = [cell.strip() for cell in row.cells if cell.strip()]
        if len(filled) * 10 >= width * 7 and not any(cell[0].isdigit() or cell[0] in "+-¥" for cell in filled):
            return index
    return 0


def _known_names(layouts: Sequence[TableLayout]) -> dict[str, Column]:
    """What each header means in the profiles there are; the first that says so wins."""
    known: dict[str, Column] = {}
    for layout in layouts:
        for column in layout.columns:
            for name in column.names:
                if column.field is not None:
                    known.setdefault(normalised_label(name), column)
    return known


def _proposed(header: str, known: dict[str, Column]) -> Column | None:
    column = known.get(normalised_label(header))
    return Column(name=header.strip(), field=column.field if column else None) if header.strip() else None


def _near(profile: Profile, layout: TableLayout, header: Row, names: set[str]) -> Nearness:
    by_name = {normalised_label(name): column for column in layout.columns for name in column.names}
    held = [by_name[name] for name in names if name in by_name]
    missing = tuple(column.name for column in layout.columns if not column.optional and column not in held)
    unknown = tuple(cell.strip() for cell in header.cells if cell.strip() and normalised_label(cell) not in by_name)
    return Nearness(profile.id, len(held), missing, unknown)


def _by_nearness(near: Nearness) -> tuple[int, int]:
    return -near.known, len(near.missing) + len(near.unknown)


def _seen(rows: Sequence[Row], index: int, columns: Sequence[Column | None], delimiter: str, profile: str | None) -> Explanation:
    below = [row for row in rows[index + 1 :] if any(cell.strip() for cell in row.cells)]
    found = Explanation(delimiter, rows[index].line, len(below), profile)
    for at, (header, column) in enumerate(zip(rows[index].cells, columns, strict=True)):
        if not header.strip():
            continue
        cells = [row.cells[at].strip() for row in below if at < len(row.cells) and row.cells[at].strip()]
        taken = column.field.value if column is not None and column.field is not None else None
        found.columns.append(ColumnSeen(header.strip(), taken, len(cells), masked(cells[0], 30) if cells else ""))
    for row in rows[:index]:
        found.labels += _labels(row)
    return found


def _labels(row: Row) -> list[str]:
    """Labels above a table: before a colon within a cell, else every other cell."""
    cells = [cell.strip() for cell in row.cells if cell.strip()]
    labels: list[str] = []
    at = 0
    while at < len(cells):
        label, colon, value = cells[at].replace("\uff1a", ":").partition(":")
        labels.append(masked(label.strip(), 40))
        at += 1 if colon and value.strip() else 2
    return labels


def _yaml(found: Explanation, below: Sequence[Row], columns: Sequence[Column | None]) -> str:
    """A profile to start from. What the program could not tell is said in comments."""
    fields = {column.field for column in columns if column is not None}
    if {ColumnField.AMOUNT_IN, ColumnField.AMOUNT_OUT} <= fields:
        direction = DirectionRule.TWO_COLUMNS
    elif ColumnField.MARK in fields:
        direction = DirectionRule.MARK
    else:
        direction = DirectionRule.SIGNED
    lines = [
        "id: my-bank",
        "version: 1",
        "title: My bank, account export",
        "format: table",
        "table:",
        f"  direction: {direction}",
    ]
    if direction is DirectionRule.MARK:
        lines += _marks(below, columns)
    if found.delimiter != ",":
        lines.append(f"  delimiter: {_quoted(found.delimiter)}")
    lines.append(f"  date_formats: [{_date_format(below, columns)}]")
    lines.append("  columns:")
    for column in columns:
        if column is not None:
            meaning = f", field: {column.field}" if column.field else ""
            remark = "" if column.field else "   # field: to be said, or left out when it is not needed"
            lines.append(f"    - {{name: {_quoted(column.name)}{meaning}}}{remark}")
    if found.labels:
        lines.append(
            "  preamble:   # labels above the table: account, account_name, currency, period, opening_balance .. or ignored"
        )
        lines += [f"    - {{label: {_quoted(name)}, fact: ignored}}" for name in dict.fromkeys(found.labels) if name]
    return "\n".join(lines) + "\n"


def _marks(below: Sequence[Row], columns: Sequence[Column | None]) -> list[str]:
    at = next(index for index, column in enumerate(columns) if column is not None and column.field is ColumnField.MARK)
    marks = dict.fromkeys(row.cells[at].strip() for row in below if at < len(row.cells) and row.cells[at].strip())
    ins = [mark for mark in marks if mark.startswith(_MARKS_IN)]
    outs = [mark for mark in marks if mark not in ins]
    return [f"  in_marks: [{', '.join(map(_quoted, ins))}]", f"  out_marks: [{', '.join(map(_quoted, outs))}]   # check both"]


_DATE_MARKS = (("/", "YYYY/MM/DD"), ("年", "YYYY年MM月DD日"), ("-", "YYYY-MM-DD"), (".", "YYYY.MM.DD"))


_DATE_MARKS_YEAR_LAST = (("/", "DD/MM/YYYY"), ("-", "DD-MM-YYYY"), (".", "DD.MM.YYYY"))  # MM/DD/YYYY: a person must say


def _date_format(below: Sequence[Row], columns: Sequence[Column | None]) -> str:
    wanted = (ColumnField.BOOKING_DATE, ColumnField.BOOKED_AT)
    for index, column in enumerate(columns):
        if column is not None and column.field in wanted:
            text = next((row.cells[index].strip() for row in below if index < len(row.cells) and row.cells[index].strip()), "")
            marks = _DATE_MARKS if text[:4].isdigit() else _DATE_MARKS_YEAR_LAST
            return next((name for mark, name in marks if mark in text), "YYYYMMDD")
    return "YYYY-MM-DD"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'
