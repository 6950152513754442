"""What a cell says once its wrapping is off: an apostrophe of a spreadsheet, and the dashes or words banks write for nothing."""

from __future__ import annotations

import re
from collections.abc import Container

DASH_MARKS = "-\u2014\uff0d"
DASHES = re.compile(r"[-\u2014\uff0d]+")
#: A long number that a spreadsheet has kept as a float: its last digits are lost.
SPOILED_NUMBER = re.compile(r"[0-9](?:\.[0-9]+)?[eE]\+?[0-9]+", re.ASCII)


def kept_cell(text: str, field: str, empty: Container[str]) -> str | None:
    """The value of a cell stripped of blanks, None where the bank writes a dash, one of ``empty`` or nothing.

    A direction mark may be one of ``empty``.
    """
    if text[:1] == "'":
        text = text[1:]
    if not text or (text in empty and field != "mark") or (text[0] in DASH_MARKS and DASHES.fullmatch(text)):
        return None
    return text
