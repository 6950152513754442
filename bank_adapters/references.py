"""Tokens a matcher may use, from what a bank calls references and from remittance text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from operator import eq

#: What banks write where a reference would stand but none is given, or to point to another field.
NO_REFERENCE = frozenset({
    "", "NONREF", "NOTPROVIDED", "NOT PROVIDED", "NOREF", "EREF", "KREF", "PREF", "MREF", "EREF+", "KREF+", "PREF+", "N", "0",
    "-",
})  # fmt: skip

#: Reference-like words of free text: at least eight letters, digits, dashes, with at least four digits among them.
_TOKEN = re.compile(
    r"(?<![0-9A-Za-z*])(?=[A-Za-z_-]*(?:[0-9][A-Za-z_-]*){4})[0-9A-Za-z][0-9A-Za-z_-]{7,39}(?![0-9A-Za-z*])", re.ASCII
)
_SHORTEST = 8  # characters of such a word: text without one is not searched
_LONG_WORD = b"w" * _SHORTEST
#: Bytes of such words are all ``w``, others are blanks: the quickest way to see that a text holds none.
_WORDS = bytes(0x77 if re.match(r"[0-9A-Za-z_-]", chr(each), re.ASCII) else 0x20 for each in range(256))
#: Text beyond this is not searched: a reference stands near the front, and searching must stay linear.
_SEARCHED = 512


_LONGEST_NO_REFERENCE = max(map(len, NO_REFERENCE))


def meaningful(reference: str | None) -> str | None:
    """The reference, or None when it only says that there is none."""
    if not reference:
        return None
    reference = reference.strip()
    if len(reference) <= _LONGEST_NO_REFERENCE and reference.upper() in NO_REFERENCE:
        return None
    return reference


def reference_set(given: Iterable[str | None], text: str | None = None) -> tuple[str, ...]:
    """Meaningful references in the order found, without duplicates, then reference-like words of ``text``."""
    found: dict[str, None] = {}
    for reference in given:
        if reference and reference not in found and (kept := meaningful(reference)):
            found[kept] = None
    if text and max(map(len, text.split()), default=0) >= _SHORTEST:
        for token in _TOKEN.findall(text[:_SEARCHED]):
            found[token] = None
    return tuple(found)


def meaningful_ones(references: Sequence[str | None]) -> Sequence[str | None]:
    """``meaningful`` of each."""
    if None in references:
        return [each and meaningful(each) for each in references]
    stripped = [each.strip() for each in references if each is not None]
    if min(map(len, stripped), default=0) > _LONGEST_NO_REFERENCE:
        return stripped
    return [meaningful(each) for each in references]


def reference_sets(given: Iterable[Sequence[str | None]], texts: Sequence[str | None]) -> list[tuple[str, ...]]:
    """``reference_set`` of each row of the columns ``given`` and the text of ``texts`` beside it."""
    rows = len(texts)
    columns: list[Sequence[str | None]] = []
    for column in given:
        if column.count(None) < rows and column not in columns:
            columns.append(column)
    if not _may_hold_tokens(texts):
        if not columns:
            return [()] * rows
        plain = all(None not in column and meaningful_ones(column) == column for column in columns)
        if plain and not any(any(map(eq, one, other)) for one, other in combinations(columns, 2)):
            return list(zip(*columns, strict=True))
        texts = [None] * rows
    if not columns:
        return [reference_set((), text) for text in texts]
    return [reference_set(references, text) for references, text in zip(zip(*columns, strict=True), texts, strict=True)]


def _may_hold_tokens(texts: Sequence[str | None]) -> bool:
    """Whether any text may hold reference-like words."""
    held = [text for text in texts if text]
    if max(map(len, held), default=0) > _SEARCHED:
        return True  # a word cut there may look like one
    text = "\n".join(held)
    words = text.encode("utf-8", "surrogatepass").translate(_WORDS)
    return _LONG_WORD in words and _TOKEN.search(text) is not None
