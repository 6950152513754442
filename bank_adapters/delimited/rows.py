"""Rows of text cells, with the line or sheet row each stands in, from delimited text."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import add

from bank_adapters.findings import Findings
from bank_adapters.limits import MAX_CELL_LINE_BREAKS
from bank_adapters.profile import Quoting
from bank_adapters.text_lines import Lines


@dataclass(slots=True)
class Row:
    """Cells of one row and the 1-based line (or sheet row) where it begins."""

    line: int
    cells: tuple[str, ...]


def text_rows(lines: Lines, delimiter: str, findings: Findings | None, quoting: Quoting = Quoting.STRICT) -> Iterator[Row]:
    """Rows of delimited text. A quotation mark never closed is a finding, not an endless cell.

    Of ``lines`` no more are taken than the rows so far stand in.
    """
    if quoting is Quoting.BACKTICK:
        yield from _backtick_rows(lines, delimiter)
        return
    reader = csv.reader(map(add, lines, repeat("\n")), delimiter=delimiter, strict=quoting is Quoting.STRICT)
    while True:
        line = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            if findings is not None:
                findings.add("unclosed_quote", line=line)
            continue
        if lines.number > line + MAX_CELL_LINE_BREAKS and any(cell.count("\n") > MAX_CELL_LINE_BREAKS for cell in cells):
            if findings is not None:
                findings.add("unclosed_quote", line=line)
            continue
        yield Row(line, tuple(cells))


def _backtick_rows(lines: Lines, delimiter: str) -> Iterator[Row]:
    """WeChat Pay bills: below the header every cell begins with a backtick, so a name may hold commas and quotation marks."""
    for line in lines:
        number = lines.number
        if not line:
            continue
        if line.startswith("`"):
            yield Row(number, tuple(line[1:].split(f"{delimiter}`")))
        else:
            yield Row(number, tuple(line.split(delimiter)))


def head_of(rows: Iterable[Row], count: int) -> Sequence[Row]:
    """The first ``count`` rows."""
    head: list[Row] = []
    for row in rows:
        head.append(row)
        if len(head) >= count:
            break
    return head
