"""OFX text as tokens: aggregates that open and close, elements with a value, whether closed (2.x) or not (1.x).

No XML parser: the header of 1.x is no XML, elements of 1.x are not closed, and banks mix both. Entities are the five of XML
and numeric ones; a raw ``&`` or ``<`` in a text stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9_.]{0,40})(?:\s[^<>]*?)?(/?)>")
_BEGIN_OF_COMMENT = re.compile(r"<!--|<\?")
_ENTITY = re.compile(r"&(amp|lt|gt|quot|apos|nbsp|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});")
_LONGEST_COMMENT = 1 << 16  # one that is not closed by then is none
_LONGEST_TEXT = 1 << 18  # without a single tag; a longer one is passed over, or every piece of a file would read it again
_CDATA = "<![CDATA["  # of 2.x, which is XML: what it holds is text as it stands
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


def _without_comments(pieces: Iterable[str]) -> Iterator[str]:
    """Comments and processing instructions taken out, their line breaks kept; one that is never closed stays as it is."""
    rest = ""
    ends = {"<!--": "-->", "<?": "?>"}
    for piece in pieces:
        text = rest + piece
        kept: list[str] = []
        at = 0
        waiting = -1  # where a comment begins that is not closed yet
        absent: set[str] = set()  # ends that do not stand behind a mark looked at, so behind no later one either
        for found in _BEGIN_OF_COMMENT.finditer(text):
            if found.start() < at:
                continue
            end = ends[found[0]]
            after = -1 if end in absent else text.find(end, found.end())
            if after < 0:
                absent.add(end)
                if len(text) - found.start() > _LONGEST_COMMENT:
                    continue
                waiting = found.start()
                break
            kept += (text[at : found.start()], "\n" * text.count("\n", found.start(), after))
            at = after + len(end)
        until = waiting if waiting >= 0 else max(at, len(text) - 4)  # a mark may be cut in two by the end of a piece
        kept.append(text[at:until])
        rest = text[until:]
        yield "".join(kept)
    yield rest


def tokens(pieces: Iterable[str]) -> Iterator[Token]:
    """Tokens from ``<OFX>`` on. Ends of elements are passed over; ends of unknown aggregates too."""
    state = _State()
    rest = ""
    for piece in _without_comments(pieces):
        text = rest + piece
        until = text.rfind("<")  # what follows may be half a tag
        done = 0
        if until > 0:
            done = yield from _tokens_in(text, until, state)
            if until - done > _LONGEST_TEXT:
                state.element, done = "", until
        elif len(text) > _LONGEST_TEXT:
            done = len(text)
        state.line += text.count("\n", 0, done)
        rest = text[done:]
    done = yield from _tokens_in(rest, len(rest), state)
    if state.element:
        yield Token(_ELEMENT, state.element, _unescaped(rest[state.text_from :].strip()), state.line)


@dataclass(slots=True)
class _State:
    """What is carried from one piece of the text to the next."""

    line: int = 1
    begun: bool = False
    element: str = ""  # an element whose text reaches to the next tag
    text_from: int = 0


def _tokens_in(text: str, until: int, state: _State) -> Generator[Token, None, int]:
    """Tokens of ``text`` before ``until``; returns how much of it is done with. An element still open is read again."""
    line, counted = state.line, 0
    element, text_from, done = "", 0, 0
    begun = state.begun
    state.element = ""
    for found in _TAG.finditer(text, 0, until):
        closing, name, closed = found.groups()
        start = found.start()
        name = name.upper()
        if element:
            value = text[text_from:start].strip()
            yield Token(_ELEMENT, element, _unescaped(value) if "&" in value or value.startswith("<") else value, line)
            element = ""
        done = start
        if closing and name not in AGGREGATES:
            done = found.end()
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
        done = found.end()
        yield Token(_CLOSE if closing else _OPEN, name, "", line)
        if closed and not closing:
            yield Token(_CLOSE, name, "", line)
    state.begun = begun
    if element:
        state.element, state.text_from = element, text_from
    state.line = line - text.count("\n", 0, counted)  # the caller counts what is done with
    return done


def _unescaped(text: str) -> str:
    if text.startswith(_CDATA) and text.endswith("]]>"):
        return text.removeprefix(_CDATA).removesuffix("]]>").strip()
    return _ENTITY.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    name = found[1]
    if not name.startswith("#"):
        return _NAMED[name]
    code = int(name.removeprefix("#x"), 16) if name[1] == "x" else int(name[1:])
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
