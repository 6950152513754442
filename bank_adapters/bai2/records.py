"""From text to logical BAI2 records: physical records found on their lines, 88 continuations joined to what they continue.

A record ends with ``/`` and begins a line; some banks put several on one line, which the record counts then hold. Text of a
16 record may hold commas and slashes and needs no ``/`` at its end, so fields are split only where they are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bank_adapters.findings import Findings

CODES = frozenset({"01", "02", "03", "16", "49", "98", "99"})
#: Joins the pieces of a continued record: a comma between fields, a blank within text.
JOINT = "\x1f"
_NEXT_ON_LINE = re.compile(r"/[ \t]+(?=(?:01|02|03|16|49|88|98|99),)", re.ASCII)
_HEAD = re.compile(r"\s*01,[^,\n]*,[^,\n]*,[0-9]{6,8},", re.ASCII)


def is_bai2(head: str) -> bool:
    """Whether the text begins with a file header: sender, receiver and the day of creation."""
    return bool(_HEAD.match(head))


@dataclass(slots=True)
class Record:
    """A record with its continuations: code, where it begins, what follows the code in each physical record it takes."""

    code: str
    line: int
    pieces: list[str]  # joined once: a record may have a great many continuations
    _fields: list[str] = field(default_factory=list)

    @property
    def physical(self) -> int:
        return len(self.pieces)

    @property
    def content(self) -> str:
        return JOINT.join(self.pieces)

    @property
    def fields(self) -> list[str]:
        """All fields, of records without text."""
        if not self._fields:
            self._fields = [each.strip() for each in self.content.replace(JOINT, ",").split(",")]
        return self._fields

    def field(self, index: int) -> str:
        """Field ``index`` (0-based, after the record code), '' when the record is shorter."""
        return self.fields[index] if index < len(self.fields) else ""


def records(lines: Iterable[str], findings: Findings) -> Iterator[Record]:
    """Logical records in order. A line that begins with no record code is a finding: it belongs to nothing."""
    current: Record | None = None
    for number, raw in enumerate(lines, 1):
        if not raw or raw.isspace():
            continue
        for piece in _NEXT_ON_LINE.split(raw.strip(" \t\x1a")) if "/ " in raw or "/\t" in raw else (raw.strip(" \t\x1a"),):
            if not piece:
                continue
            code, comma, rest = piece.partition(",")
            rest = rest.removesuffix("/")
            if comma and code in CODES:
                if current is not None:
                    yield current
                current = Record(code, number, [rest])
            elif comma and code == "88" and current is not None:
                current.pieces.append(rest)
            else:
                if current is not None:
                    yield current
                    current = None
                findings.add("unknown_content", line=number, field=code[:8], excerpt=piece)
    if current is not None:
        yield current
