"""Sizes a file may have. A file beyond them is refused with a finding, before or while it is read."""

from __future__ import annotations

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_LINE_CHARACTERS = 1_000_000  # one physical line of text
MAX_LINES = 5_000_000  # physical lines or rows of one file
MAX_ROWS = 1_048_576  # rows of one sheet
MAX_COLUMNS = 1_000  # columns of one sheet
MAX_CELLS = 5_000_000  # rows times columns of the sheets of one file, empty cells between others counted
MAX_CELL_LINE_BREAKS = 3  # more in one cell means a quotation mark was never closed
LINES_IN_MEMORY = 5_000  # of one statement; further ones go to a temporary file
MAX_MEMBER_BYTES = 200 * 1024 * 1024  # of one file in an archive, counted while inflating
MAX_MARKUP_CHARACTERS = 64 * 1024 * 1024  # of an HTML table or SpreadsheetML, which are read whole
MAX_HEADER_ROW = 60  # a table's header stands within these rows
MAX_XML_DEPTH = 256  # libxml2's own limit without huge_tree
MAX_ARCHIVE_MEMBERS = 1_000  # of a zip or an .xlsx
MAX_INFLATED_BYTES = 500 * 1024 * 1024  # of a zip or an .xlsx, counted while inflating
MAX_INFLATION_RATIO = 200
INFLATION_FLOOR_BYTES = 10 * 1024 * 1024  # below this no ratio is held against a file
SNIFFED_BYTES = 64 * 1024  # of a file are looked at to tell its format
