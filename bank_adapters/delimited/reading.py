"""A table read by its profile: facts above, then rows, by column where they are ordinary and one by one where not."""

from __future__ import annotations

from collections.abc import Iterable

from bank_adapters.delimited.claims import Header
from bank_adapters.delimited.ordinary import SHORTEST_BLOCK, OrdinaryRows
from bank_adapters.delimited.rows import Row
from bank_adapters.delimited.table import TableReader
from bank_adapters.findings import Findings
from bank_adapters.model import Statement
from bank_adapters.profile import TableLayout
from bank_adapters.text_lines import Lines


def read_table(
    rows: Iterable[Row], before: list[Row], header_row: Row, header: Header, *, layout: TableLayout,
    findings: Findings, ends_with_line_break: bool, lines: Lines | None = None, shortest_block: int = SHORTEST_BLOCK,
) -> Statement:  # fmt: skip
    """The one statement of a table: ``before`` the header, then ``rows`` below it.

    Given the ``lines`` that ``rows`` takes one by one, ordinary ones are read by column.
    """
    reader = TableReader(header_row, header, layout, findings)
    findings.statement = 0
    reader.facts.preamble(before)
    ordinary = OrdinaryRows(reader, lines, shortest_block) if lines is not None else None
    one_by_one_to = 0
    last: Row | None = None
    for row in rows:
        reader.row(row)
        last = row
        if ordinary is not None and lines is not None and lines.number >= one_by_one_to:
            one_by_one_to = ordinary.take()
            if ordinary.last is not None and ordinary.last.line == lines.number:
                last = ordinary.last
    statement = reader.finish(last, ends_with_line_break=ends_with_line_break)
    findings.statement = None
    return statement
