"""Sheets that are markup: HTML tables and SpreadsheetML 2003, which banks call .xls.

Neither is handed to a parser that knows entities of a document type: HTML goes through the tokenizer of the standard library,
SpreadsheetML is refused with a DOCTYPE and read by local names.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from lxml import etree

from bank_adapters.camt.documents import OneRoot
from bank_adapters.delimited.rows import Row
from bank_adapters.delimited.sheets import Sheet, SheetRefused
from bank_adapters.limits import MAX_COLUMNS, MAX_ROWS
from bank_adapters.xml_lines import line_of

# A comment ends at its first end mark and is never tried longer (?>..): else n comments could be told apart in 2^n ways.
_HTML = re.compile(
    r"\s*(?:(?><!--.*?-->)\s*)*+(?:<!DOCTYPE\s+html[^>]*>\s*)?<(?:html|table|head|meta|body|style|div)\b",
    re.IGNORECASE | re.DOTALL,
)
_SPREADSHEET = "urn:schemas-microsoft-com:office:spreadsheet"
_BLANKS = re.compile(r"[ \t\r\n\u00a0]+")


def markup_kind(head: str) -> str | None:
    """``html`` or ``spreadsheetml`` by the head of a text, None for neither."""
    if _SPREADSHEET in head and head.lstrip("\ufeff \t\n").startswith("<") and "<html" not in head.lower():
        return "spreadsheetml"
    return "html" if _HTML.match(head) and "<table" in head.lower() else None


def markup_sheets(text: str, kind: str) -> list[Sheet]:
    """The tables with content. Raises SheetRefused."""
    return _html_sheets(text) if kind == "html" else _spreadsheet_sheets(text)


class _Tables(HTMLParser):
    """Rows of the outermost tables; a cell's text without tags, line breaks as blanks."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sheets: list[Sheet] = []
        self.row: list[str] | None = None
        self.row_line = 1
        self.cell: list[str] | None = None
        self.span = 1
        self.depth = 0
        self.hidden = 0  # inside script or style
        self.closed = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.depth += 1
            if self.depth > 1:
                raise SheetRefused("a table inside a table")
            self.sheets.append(Sheet(f"table {len(self.sheets) + 1}", []))
        elif tag in ("script", "style"):
            self.hidden += 1
        elif tag == "tr" and self.depth:
            self._end_row()
            self.row, self.row_line = [], self.getpos()[0]
        elif tag in ("td", "th") and self.depth:
            self._end_cell()
            if self.row is None:
                self.row, self.row_line = [], self.getpos()[0]
            given = dict(attrs)
            span = given.get("colspan") or "1"
            self.span = min(int(span), MAX_COLUMNS) if span.isascii() and span.isdigit() else 1
            if (given.get("rowspan") or "1").strip() not in ("", "0", "1"):
                raise SheetRefused("cells that reach over several rows")
            self.cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._end_cell()
        elif tag == "tr":
            self._end_row()
        elif tag == "table" and self.depth:
            self._end_row()
            self.depth -= 1
        elif tag in ("script", "style") and self.hidden:
            self.hidden -= 1

    def handle_data(self, data: str) -> None:
        if self.hidden:
            return
        if self.cell is not None:
            self.cell.append(data)
        elif self.depth and data.strip():
            raise SheetRefused(f"text between the cells in line {self.getpos()[0]}")

    def _end_cell(self) -> None:
        if self.cell is not None and self.row is not None:
            self.row.append(_BLANKS.sub(" ", "".join(self.cell)).strip())
            self.row += [""] * (self.span - 1)
            if len(self.row) > MAX_COLUMNS:
                raise SheetRefused(f"a row of more than {MAX_COLUMNS} cells")
        self.cell = None

    def _end_row(self) -> None:
        self._end_cell()
        if self.row is not None and self.sheets and any(self.row):
            rows = self.sheets[-1].rows
            rows.append(Row(self.row_line, tuple(self.row)))
            if len(rows) > MAX_ROWS:
                raise SheetRefused(f"more than {MAX_ROWS} rows")
        self.row = None


def _html_sheets(text: str) -> list[Sheet]:
    tables = _Tables()
    try:
        tables.feed(text)
        tables.close()
    except AssertionError as problem:  # how the standard library's tokenizer gives up on a broken declaration such as <![
        raise SheetRefused(f"a broken declaration in the markup ({problem})") from problem
    if tables.depth or tables.row is not None:
        raise SheetRefused("a table is never closed: the file is cut short")
    return [sheet for sheet in tables.sheets if sheet.rows]


def _local(element: etree._Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _attribute(element: etree._Element, name: str) -> str | None:
    return element.get(f"{{{_SPREADSHEET}}}{name}") or element.get(name)


def _spreadsheet_sheets(text: str) -> list[Sheet]:
    """Worksheets of a SpreadsheetML document; ss:Index leaves cells out, which then are empty."""
    sheets: list[Sheet] = []
    source = OneRoot([text])  # inside its root a document type is a syntax error, wherever it stands
    try:
        for event, element in etree.iterparse(
            source, events=("start", "end"), tag=("{*}Worksheet", "{*}Row"), encoding="utf-8", resolve_entities=False,
            no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True,
        ):  # fmt: skip
            name = _local(element)
            if event == "start" and name == "Worksheet":
                sheets.append(Sheet(_attribute(element, "Name") or f"sheet {len(sheets) + 1}", []))
            elif event == "end" and name == "Row" and sheets:
                cells = _spreadsheet_cells(element)
                if any(cells):
                    sheets[-1].rows.append(Row(line_of(element) or 1, cells))
                    if len(sheets[-1].rows) > MAX_ROWS:
                        raise SheetRefused(f"more than {MAX_ROWS} rows")
                element.clear()
    except etree.XMLSyntaxError as problem:
        raise SheetRefused(str(problem.msg).split(", line", maxsplit=1)[0]) from problem
    for sheet in sheets:  # cells at a row's end are left out when they are empty
        width = max((len(row.cells) for row in sheet.rows), default=0)
        sheet.rows = [Row(row.line, row.cells + ("",) * (width - len(row.cells))) for row in sheet.rows]
    return [sheet for sheet in sheets if sheet.rows]


def _spreadsheet_cells(row: etree._Element) -> tuple[str, ...]:
    cells: list[str] = []
    for cell in row:
        if _local(cell) != "Cell":
            continue
        index = _attribute(cell, "Index") or ""
        if index.isascii() and index.isdigit():
            if not len(cells) < int(index) <= MAX_COLUMNS:
                raise SheetRefused(f"a cell with index {index}")
            cells += [""] * (int(index) - 1 - len(cells))
        data = next((each for each in cell if _local(each) == "Data"), None)
        text = "".join(map(str, data.itertext())).strip() if data is not None else ""
        if data is not None and _attribute(data, "Type") == "DateTime":
            text = text.removesuffix(".000").replace("T", " ").removesuffix(" 00:00:00")
        cells.append(text)
        if len(cells) > MAX_COLUMNS:
            raise SheetRefused(f"a row of more than {MAX_COLUMNS} cells")
    return tuple(cells)
