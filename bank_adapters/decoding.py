"""Bytes to text: BOM first, then strict UTF-8, then the profile's encodings. Never with ``errors="ignore"``.

A file that is not UTF-8 is GB18030 when nearly all of its non-ASCII characters are everyday Chinese (the GB 2312 plane:
two bytes, each 0xA1 or higher), else the next encoding that decodes. Western text read as GB18030 pairs an accented
letter with the ASCII letter after it, so it never passes that test.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_ENCODINGS = ("gb18030", "cp1252", "latin-1")
_MOST_RARE = 0.2


class Undecodable(ValueError):
    """The bytes are text in none of the encodings tried."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text, the encoding that gave it, and whether that was a guess (no BOM, not UTF-8)."""

    text: str
    encoding: str
    guessed: bool = False


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, encodings: Sequence[str] = ()) -> Decoded:
    """Text of ``data``. Raises Undecodable."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return Decoded(data.decode(encoding), encoding)
            except UnicodeDecodeError as problem:
                raise Undecodable(encoding) from problem
    if encoding_without_mark := _wide_without_mark(data):
        try:
            return Decoded(data.decode(encoding_without_mark), encoding_without_mark, guessed=True)
        except UnicodeDecodeError:
            pass
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        pass
    candidates = tuple(encodings) or DEFAULT_ENCODINGS
    for encoding in candidates:
        try:
            text = data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        if encoding == "gb18030" and len(candidates) > 1 and not _is_everyday_chinese(text):
            continue
        return Decoded(text, encoding, guessed=len(candidates) > 1)
    raise Undecodable(", ".join(("utf-8", *candidates)))


def _wide_without_mark(data: bytes) -> str | None:
    """UTF-16 without a BOM: digits, commas and line ends leave a zero in every other byte; no other text has zeros."""
    head = data[:4096]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > len(head) // 32 and even * 4 <= odd:
        return "utf-16-le"
    if even > len(head) // 32 and odd * 4 <= even:
        return "utf-16-be"
    return None


def _is_everyday_chinese(text: str) -> bool:
    total = everyday = 0
    for char in text:
        if char < "\x80":
            continue
        total += 1
        try:
            code = char.encode("gb2312")
        except UnicodeEncodeError:
            continue
        everyday += len(code) == 2
    return total > 0 and (total - everyday) <= total * _MOST_RARE
