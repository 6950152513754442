"""References made comparable: normalised, placeholders dropped, one row per position and reference.

Comparison is equality of whole normalised references, never a search inside a longer text: 123456 is not 91234567.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reconciliation.matching.rules import MatchingRules

_NOT_LETTER_OR_DIGIT = r"[^\pL\pN]+"
_BETWEEN_WORDS = r"[^0-9A-Za-z\-_/.]+"


def normalise_text(text: str) -> str:
    """One reference as it is compared: NFKC, upper case, letters and digits only (``ord-2025_1`` -> ``ORD20251``)."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).upper() if c.isalnum())


def _array(values: pd.Series) -> pa.Array:
    column = pa.array(values, type=pa.string(), from_pandas=True)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pc.fill_null(column, "")


def says(values: pd.Series, pattern: re.Pattern[str]) -> np.ndarray:
    r"""Per text, whether the pattern is found in it, whatever the case (true/false array).

    Searched by Arrow (RE2, for which a word ends where ASCII letters end, so one may begin right after a Chinese
    character); a pattern RE2 does not know is searched by Python.
    """
    try:
        found: np.ndarray = pc.match_substring_regex(_array(values), pattern.pattern, ignore_case=True).to_numpy(
            zero_copy_only=False
        )
    except pa.ArrowInvalid:
        found = np.array([pattern.search(text) is not None for text in values], dtype=bool)
    return found.astype(bool)


def reference_table(values: pd.Series, rules: MatchingRules) -> pd.DataFrame:
    """All usable references of ``values``, texts with references separated by ``|``.

    Returns columns ``at`` (int64, position in ``values``) and ``reference`` (str, normalised), without repetition.
    """
    return _usable(pc.split_pattern(_array(values), "|"), rules)


def text_token_table(values: pd.Series, rules: MatchingRules) -> pd.DataFrame:
    """The same table for whole words of free text; a word counts as a reference only when it holds a digit."""
    plain = pc.utf8_normalize(_array(values), form="NFKC")
    words = pc.split_pattern(pc.replace_substring_regex(plain, pattern=_BETWEEN_WORDS, replacement="|"), "|")
    table = _usable(words, rules)
    return table[table["reference"].str.contains(r"[0-9]", regex=True)].reset_index(drop=True)


def _usable(lists: pa.ListArray, rules: MatchingRules) -> pd.DataFrame:
    at = pc.list_parent_indices(lists)
    flat = pc.utf8_upper(pc.utf8_normalize(pc.list_flatten(lists), form="NFKC"))
    reference = pc.replace_substring_regex(flat, pattern=_NOT_LETTER_OR_DIGIT, replacement="")
    keep = pc.and_(
        pc.greater_equal(pc.utf8_length(reference), rules.shortest_reference),
        pc.invert(pc.match_substring_regex(reference, r"^0*$")),
    )
    keep = pc.and_(keep, pc.invert(pc.is_in(reference, value_set=pa.array(sorted(rules.placeholders), pa.string()))))
    table = pd.DataFrame(
        {
            "at": pc.filter(at, keep).to_numpy(zero_copy_only=False).astype(np.int64),
            "reference": pd.Series(pd.arrays.ArrowStringArray(pc.filter(reference, keep)), dtype="str"),
        }
    )
    return table.drop_duplicates(ignore_index=True)


def shape(reference: pd.Series) -> pd.Series:
    """The shape of normalised references, to tell ours from the bank's own.

    A prefix of letters before digits is kept (``ORD20250001`` -> ``ORD9``); anything else is its kind and length.
    """
    found = reference.str.extract(r"^([A-Z]{1,10})[0-9]+$", expand=False)
    digits = reference.str.fullmatch(r"[0-9]+")
    length = reference.str.len().astype("str")
    return (found + "9").fillna(("digits:" + length).where(digits, "mixed:" + length))
