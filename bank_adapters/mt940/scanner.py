"""From text to fields: envelope lines, tags, continuation lines. Every non-blank line ends up in exactly one event.

A line beginning with a known ``:tag:`` opens a field; what follows belongs to it. In the free text of ``:86:`` a line may
look like a tag (a time of day cut at its colon) or like the end mark; the rules for that are ``_is_wrapped_time`` and
``_ends_message``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum, auto

from bank_adapters.text_lines import Lines

#: MT940, MT942 and MT950 fields, the German :NS:, and the :940: some banks put before :20:.
TAGS = frozenset({
    "20", "21", "25", "25P", "28", "28C", "NS", "60F", "60M", "61", "62F", "62M", "64", "64F", "65", "65F", "86",
    "34F", "13", "13D", "90D", "90C", "940", "942", "950",
})  # fmt: skip
_TEXT_TAGS = frozenset({"86", "NS"})
_CLOSING = frozenset({"62F", "62M"})
_AFTER_CLOSING = frozenset({"64", "65", "86", "64F", "65F"})
_TAG = re.compile(r":(NS|[0-9]{2,3}[A-Z]?):", re.ASCII)
_END = re.compile(r"-(?:\}.*|XXX|)[\s\x00-\x1f]*", re.DOTALL)
_ENVELOPE = re.compile(
    r"\{.*"  # FIN blocks {1:..}{2:..}{4:
    r"|-?\}?\{[0-9S]:.*"
    r"|[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3,4})?"  # a BIC alone: ABNANL2A
    r"|9[45][0-9](?: [0-9]{2})?"  # 940, 940 00
    r"|0000 01[A-Z0-9]{8,20}"
    r"|XXX",
    re.ASCII,
)
CONTROL = "\x00\x01\x02\x03\x04\x1a"
_BLOCK_FOUR = "{4:"


class Kind(Enum):
    """What an event of the scanner is."""

    FIELD = auto()
    END = auto()  # the end mark of a message
    ENVELOPE = auto()
    UNKNOWN = auto()  # text outside of any message


_FIELD = Kind.FIELD  # a name of an enum is slow to look up for every line


class Event:
    """A field (``tag``, ``content``, ``more`` lines), the end of a message, an envelope line, or unknown text."""

    __slots__ = ("content", "kind", "line", "more", "tag")

    def __init__(self, kind: Kind, line: int, tag: str = "", content: str = "") -> None:
        self.kind = kind
        self.line = line
        self.tag = tag
        self.content = content
        self.more: list[str] = []


def is_mt940(text: str) -> bool:
    """Whether the first line that is neither blank nor envelope opens a field of MT940/942/950."""
    for raw in text[:20_000].replace("\r", "\n").split("\n"):
        line = raw.strip(CONTROL + " \t\ufeff")
        if not line:
            continue
        if found := _TAG.match(line):
            return found[1] in TAGS
        if _BLOCK_FOUR in line and line.startswith("{"):
            return True
        if not _ENVELOPE.fullmatch(line):
            return False
    return False


def scan(lines: Lines, take_run: Callable[[Lines], bool]) -> Iterator[Event]:
    """Events of a file's physical lines (1-based), in order.

    At every :61: ``take_run`` is asked, when it was given all events before, whether it takes that line and further ones itself.
    It may only pass over whole movements in front of another :61:.
    """
    tags = TAGS
    current: Event | None = None
    closed = False  # the closing balance of the current message was seen
    for raw in lines:
        number = lines.number
        if raw[:1] == ":":
            end = raw.find(":", 1, 6)
            tag = raw[1:end] if end > 0 else ""
            if tag in tags:
                if tag[0] > "5" or current is None or current.tag not in _TEXT_TAGS or not _is_wrapped_time(lines, raw):
                    if current is not None:
                        yield current
                    current = None
                    if tag == "61" and take_run(lines):
                        closed = False
                        continue
                    current = Event(_FIELD, number, tag, raw[end + 1 :])
                    closed = tag in _CLOSING or (closed and tag in _AFTER_CLOSING)
                    continue
            elif (current is None or current.tag not in _TEXT_TAGS) and (found := _TAG.match(raw)):
                if current is not None:
                    yield current
                current = None
                yield Event(Kind.UNKNOWN, number, found[1], raw)
                continue
        line = raw.strip(CONTROL) if raw[-1:] in CONTROL or raw[:1] in CONTROL else raw
        if not line or line.isspace() or line == "\ufeff":
            if current is not None and current.tag in _TEXT_TAGS:
                current.more.append("")
            continue
        if line[0] in "-{X" and _is_mark(lines, line, current, closed=closed):
            if current is not None:
                yield current
            current, closed = None, False
            yield from _marks(number, line)
        elif current is not None:
            current.more.append(line)
        elif _ENVELOPE.fullmatch(line.strip()):
            yield Event(Kind.ENVELOPE, number, content=line)
        else:
            inner = line.strip(" \t\ufeff")
            found = _TAG.match(inner)
            if found and found[1] in TAGS:  # blanks or a byte order mark before the first tag
                current = Event(Kind.FIELD, number, found[1], inner[found.end() :])
            else:
                yield Event(Kind.UNKNOWN, number, content=line)
    if current is not None:
        yield current


def _marks(number: int, line: str) -> Iterator[Event]:
    """An end mark, an envelope, or both on one line (``-}{5:}{1:..}{4:``), perhaps with a first field behind ``{4:``."""
    if line.startswith("-"):
        yield Event(Kind.END, number, content=line)
        line = line[2:] if line.startswith("-}") else ""
    head, opened, rest = line.rpartition(_BLOCK_FOUR)
    envelope = head + opened if opened else line
    if envelope.strip():
        yield Event(Kind.ENVELOPE, number, content=envelope)
    if opened and (found := _TAG.match(rest.strip())) and found[1] in TAGS:
        yield Event(Kind.FIELD, number, found[1], rest.strip()[found.end() :])


def _is_mark(lines: Lines, line: str, current: Event | None, *, closed: bool) -> bool:
    """Whether this line ends a message or belongs to the envelope, and is not text of :86:."""
    if line.startswith("{"):
        return bool(re.match(r"\{[1-5S]:", line))
    if line.rstrip() == "XXX":
        return closed
    return bool(_END.fullmatch(line)) and _ends_message(lines, current, closed=closed)


def _ends_message(lines: Lines, current: Event | None, *, closed: bool) -> bool:
    """A lone ``-`` inside :86: before the closing balance is text, unless a new message or the file's end follows."""
    if closed or current is None or current.tag not in _TEXT_TAGS or lines.current.startswith("-}"):
        return True
    for raw in lines.ahead(20):
        line = raw.strip(CONTROL + " \t")
        if not line:
            continue
        return line.startswith((":20:", "{", ":940:", ":942:")) or bool(_ENVELOPE.fullmatch(line))
    return True


_TIME_TAIL = re.compile(r":([0-5][0-9]):(?:[0-5][0-9])?(?![0-9])", re.ASCII)
_HOUR_END = re.compile(r"(?<![0-9])[0-2]?[0-9]\s*\Z", re.ASCII)


def _is_wrapped_time(lines: Lines, raw: str) -> bool:
    """Whether ``:26:37 ..`` is the rest of a time of day whose hour ends the line before."""
    if not _TIME_TAIL.match(raw) or not _HOUR_END.search(lines.before):
        return False
    return not any(line.startswith((":25:", ":28", ":60")) for line in lines.ahead(4))
