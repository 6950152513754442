"""Bytes to text: BOM first, then strict UTF-8, then the profile's encodings. Never with ``errors="ignore"``.

A file that is not UTF-8 is GB18030 when nearly all of its non-ASCII characters are everyday Chinese (the GB 2312 plane:
two bytes, each 0xA1 or higher), else the next encoding that decodes. Western text read as GB18030 pairs an accented
letter with the ASCII letter after it, so it never passes that test.

The file is decoded once from end to end to find its encoding, its number of lines and its longest line, piece by piece; then
readers take lines or pieces of the same text.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from bank_adapters.limits import MAX_LINE_CHARACTERS, SNIFFED_BYTES
from bank_adapters.sources import Source

DEFAULT_ENCODINGS = ("gb18030", "cp1252", "latin-1")
_MOST_RARE = 0.2
_PIECE = 1 << 16  # larger ones fall out of the processor's cache while they are read


class Undecodable(ValueError):
    """The bytes are text in none of the encodings tried."""


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(slots=True)
class Text:
    """A file as text with LF line ends. ``guessed``: neither a mark nor strict UTF-8 told the encoding.

    ``foreign_line`` is the first line that is not ASCII, ``long_line`` the first that is longer than allowed, ``nul_line`` the
    first that holds NUL (all 1-based).
    """

    source: Source
    encoding: str
    guessed: bool = False
    head: str = ""
    line_breaks: int = 0
    characters: int = 0
    ends_with_line_break: bool = False
    foreign_line: int | None = None
    long_line: int | None = None
    nul_line: int | None = None

    def lines(self) -> Iterator[str]:
        """Lines without their ends, an empty one behind the last line end. A line is held whole: ask ``long_line`` first."""
        rest = ""
        for piece in self.pieces():
            *whole, rest = (rest + piece).split("\n")
            yield from whole
        yield rest

    def pieces(self) -> Iterator[str]:
        """The text in pieces of some ten thousand characters."""
        with _opened(self.source, self.encoding) as stream:
            first = True
            while piece := stream.read(_PIECE):
                yield piece.removeprefix("\ufeff") if first else piece
                first = False

    def whole(self) -> str:
        """All of it, for readers that jump about in it."""
        return "".join(self.pieces())


def _opened(source: Source, encoding: str) -> io.TextIOWrapper:
    stream: BinaryIO = source.open()
    return io.TextIOWrapper(stream, encoding=encoding, errors="strict", newline=None)


def decode(source: Source, encodings: Sequence[str] = ()) -> Text:
    """The text of ``source``. Raises Undecodable."""
    head = source.head(4096)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            text = _tried(source, encoding)
            if text is None:
                raise Undecodable(encoding)
            return text
    if (wide := _wide_without_mark(head)) and (text := _tried(source, wide, guessed=True)):
        return text
    if text := _tried(source, "utf-8"):
        return text
    candidates = tuple(encodings) or DEFAULT_ENCODINGS
    for encoding in candidates:
        only_everyday = encoding == "gb18030" and len(candidates) > 1
        if text := _tried(source, encoding, guessed=len(candidates) > 1, everyday_chinese=only_everyday):
            return text
    raise Undecodable(", ".join(("utf-8", *candidates)))


def _tried(source: Source, encoding: str, *, guessed: bool = False, everyday_chinese: bool = False) -> Text | None:
    """The text in this encoding, read from end to end; None when the bytes are not of it."""
    text = Text(source, encoding, guessed)
    rare = foreign = 0
    tail = 0  # characters since the last line end
    last = ""
    try:
        for piece in text.pieces():
            if len(text.head) < SNIFFED_BYTES:
                text.head += piece[: SNIFFED_BYTES - len(text.head)]
            if text.foreign_line is None and not piece.isascii():
                at = next(index for index, char in enumerate(piece) if char >= "\x80")
                text.foreign_line = 1 + text.line_breaks + piece.count("\n", 0, at)
            if text.nul_line is None and "\x00" in piece:
                text.nul_line = 1 + text.line_breaks + piece.count("\n", 0, piece.index("\x00"))
            if text.long_line is None:
                start = _long_line(piece, tail)
                if start is not None:
                    text.long_line = 1 + text.line_breaks + piece.count("\n", 0, start)
            if everyday_chinese and not piece.isascii():
                found_foreign, found_rare = _chinese(piece)
                foreign, rare = foreign + found_foreign, rare + found_rare
            text.characters += len(piece)
            breaks = piece.count("\n")
            text.line_breaks += breaks
            tail = len(piece) - piece.rindex("\n") - 1 if breaks else tail + len(piece)
            last = piece
    except (UnicodeDecodeError, LookupError):
        return None
    text.ends_with_line_break = last.endswith("\n")
    if everyday_chinese and not (foreign and rare <= foreign * _MOST_RARE):
        return None
    return text


def _long_line(piece: str, tail: int) -> int | None:
    """Where in ``piece`` a line stands that is longer than allowed, ``tail`` characters of it being before the piece."""
    if tail + len(piece) <= MAX_LINE_CHARACTERS:
        return None
    first = piece.find("\n")
    if tail + (first if first >= 0 else len(piece)) > MAX_LINE_CHARACTERS:
        return 0
    return None  # a piece is shorter than the longest line allowed: no line within it can be too long


def _wide_without_mark(head: bytes) -> str | None:
    """UTF-16 without a BOM: digits, commas and line ends leave a zero in every other byte; no other text has zeros."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > len(head) // 32 and even * 4 <= odd:
        return "utf-16-le"
    if even > len(head) // 32 and odd * 4 <= even:
        return "utf-16-be"
    return None


def _chinese(piece: str) -> tuple[int, int]:
    """How many characters are not ASCII, and how many of those are not everyday Chinese."""
    foreign = everyday = 0
    for char in piece:
        if char < "\x80":
            continue
        foreign += 1
        try:
            everyday += len(char.encode("gb2312")) == 2
        except UnicodeEncodeError:
            continue
    return foreign, foreign - everyday
