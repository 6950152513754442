"""Tokens a matcher may use, from what a bank calls references and from remittance text."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
