"""OFX text as tokens: aggregates that open and close, elements with a value, whether closed (2.x) or not (1.x).

No XML parser: the header of 1.x is no XML, elements of 1.x are not closed, and banks mix both. Entities are the five of XML
and numeric ones; a raw ``&`` or ``<`` in a text stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9_.]{0,40})(?:\s[^<>]*?)?(/?)>")
_BEGIN_OF_COMMENT = re.compile(r"<!--|<\?")
_ENTITY = re.compile(r"&(amp|lt|gt|quot|apos|nbsp|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " "}

#: Aggregates that matter, or whose elements must not be taken for those of the aggregate around them.
AGGREGATES = frozenset({
    "OFX", "SIGNONMSGSRSV1", "SONRS", "STATUS", "FI", "BANKMSGSRSV1", "CREDITCARDMSGSRSV1", "INVSTMTMSGSRSV1", "STMTTRNRS",
    "CCSTMTTRNRS", "INVSTMTTRNRS", "STMTRS", "CCSTMTRS", "INVSTMTRS", "BANKACCTFROM", "CCACCTFROM", "INVACCTFROM", "BANKACCTTO",
    "CCACCTTO", "BANKTRANLIST", "BANKTRANLISTP", "STMTTRN", "STMTTRNP", "LEDGERBAL", "AVAILBAL", "BALLIST", "BAL", "CURRENCY",
    "ORIGCURRENCY", "PAYEE", "INVTRANLIST", "INVBANKTRAN", "SIGNUPMSGSRSV1", "ACCTINFOTRNRS", "ACCTINFORS", "ACCTINFO",
    "BANKACCTINFO", "CCACCTINFO", "INVACCTINFO", "SECLISTMSGSRSV1", "SECLIST", "INVPOSLIST", "INVBAL", "INV401K", "INV401KBAL",
    "IMAGEDATA", "EXTDNAME",
})  # fmt: skip


class Kind(Enum):
    """What a token is."""

    OPEN = auto()
    CLOSE = auto()
    ELEMENT = auto()


class Token(NamedTuple):
    """An aggregate's begin or end, or an element with its text; ``line`` is 1-based."""

    kind: Kind
    name: str
    text: str
    line: int


_OPEN, _CLOSE, _ELEMENT = Kind.OPEN, Kind.CLOSE, Kind.ELEMENT


def is_ofx(head: str) -> bool:
    """Whether the text begins, behind comments and an XML declaration, with a header of OFX or ``<OFX>`` itself."""
    at = 0
    while True:
        rest = head[at : at + 64].lstrip("\ufeff \t\n")
        at += len(head[at : at + 64]) - len(rest) if rest else 64
        if at >= len(head):
            return False
        if not rest:
            continue
        begin = head[at : at + 10].upper()
        if begin.startswith(("OFXHEADER", "<?OFX", "<OFX>")):
            return True
        end = "-->" if begin.startswith("<!--") else "?>" if begin.startswith("<?XML") else ""
        after = head.find(end, at) if end else -1
        if after < 0:
            return False
        at = after + len(end)


def _without_comments(text: str) -> str:
    """Comments and processing instructions taken out, their line breaks kept; one never closed stays as it is."""
    kept: list[str] = []
    at = 0
    ends = {"<!--": "-->", "<?": "?>"}
    for found in _BEGIN_OF_COMMENT.finditer(text):
        if found.start() < at:
            continue
        end = ends.get(found[0])
        after = text.find(end, found.end()) if end else -1
        if end is None or after < 0:
            ends.pop(found[0], None)  # none of these closes any more: do not search the rest again and again
            continue
        kept += (text[at : found.start()], "\n" * text.count("\n", found.start(), after))
        at = after + len(end)
    return "".join((*kept, text[at:]))


def tokens(text: str) -> Iterator[Token]:
    """Tokens from ``<OFX>`` on. Ends of elements are passed over; ends of unknown aggregates too."""
    text = _without_comments(text)
    line, counted = 1, 0
    begun = False
    element = ""  # an element whose text reaches to the next tag
    text_from = 0
    for found in _TAG.finditer(text):
        closing, name, closed = found.groups()
        start = found.start()
        name = name.upper()
        if element:
            value = text[text_from:start].strip()
            yield Token(_ELEMENT, element, _unescaped(value) if "&" in value else value, line)
            element = ""
        if closing and name not in AGGREGATES:
            continue
        if not begun:
            if name != "OFX":
                continue
            begun = True
        line += text.count("\n", counted, start)
        counted = start
        if name not in AGGREGATES:
            element, text_from = name, found.end()
            continue
        yield Token(_CLOSE if closing else _OPEN, name, "", line)
        if closed and not closing:
            yield Token(_CLOSE, name, "", line)
    if element:
        yield Token(_ELEMENT, element, _unescaped(text[text_from:].strip()), line)


def _unescaped(text: str) -> str:
    return _ENTITY.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    name = found[1]
    if not name.startswith("#"):
        return _NAMED[name]
    code = int(name.removeprefix("#x"), 16) if name[1] == "x" else int(name[1:])
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
