"""The two figures of discrepancies, ``amount`` and ``difference``, by the one convention of reconciliation/discrepancy.py."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd

from reconciliation.discrepancy import EXPECTING_NOTHING, DiscrepancyKind

_K = DiscrepancyKind


class Named(NamedTuple):
    """Discrepancies as parallel sequences: kind, positions of their lines and items, and what the books expect of the lines,
    signed, where that is not the sum of the items that are still open (a batch less its fee); otherwise None.
    """

    kinds: Sequence[DiscrepancyKind]
    lines: Sequence[tuple[int, ...]]
    items: Sequence[tuple[int, ...]]
    expected: Sequence[int | None]


def figures_of(named: Named, lines: pd.DataFrame, items: pd.DataFrame, item_used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Amounts (never negative) and differences (bank effect less book expectation, IN positive), minor units as int64.

    ``lines``, ``items``: the sorted frames (frames.py). ``item_used``: per item, whether a match has consumed it, so that the
    books expect nothing more of it.
    """
    kinds = np.array([str(kind) for kind in named.kinds], dtype=object)
    line, of_line = _flat(named.lines)
    item, of_item = _flat(named.items)
    moved, amount = _sums(len(kinds), of_line, _signed(lines, line))
    held, held_amount = _sums(len(kinds), of_item, _signed(items, item))
    still = ~item_used[item]
    expected, _ = _sums(len(kinds), of_item[still], _signed(items, item[still], less="fee"))
    for number, told in enumerate(named.expected):
        if told is not None:
            expected[number] = told
    largest = np.zeros(len(kinds), dtype=np.int64)
    np.maximum.at(largest, of_item, items["amount"].to_numpy()[item])
    repeated = held_amount - largest  # twins less one, whether or not the bank has shown the one already
    of_books = np.array([not one for one in named.lines], dtype=bool)
    twins = kinds == str(_K.DUPLICATE_LEDGER)
    agreed = (kinds == str(_K.LATE)) | (kinds == str(_K.CURRENCY_MISMATCH))
    nothing_expected = np.isin(kinds.astype("str"), [str(kind) for kind in EXPECTING_NOTHING])
    return (
        np.select([twins, of_books], [repeated, held_amount], default=amount),
        np.select(
            [twins, of_books, agreed, nothing_expected],
            [-np.sign(held) * repeated, -held, np.zeros_like(moved), moved],
            default=moved - expected,
        ),
    )


def _flat(groups: Sequence[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """All positions one after the other, and the number of the group each belongs to."""
    sizes = np.array([len(one) for one in groups], dtype=np.int64)
    return np.array(list(chain.from_iterable(groups)), dtype=np.int64), np.repeat(np.arange(len(groups)), sizes)


def _signed(side: pd.DataFrame, at: np.ndarray, *, less: str | None = None) -> np.ndarray:
    units = side["amount"].to_numpy()[at]
    if less:
        units = units - side[less].to_numpy()[at]
    signed: np.ndarray = np.where(side["inward"].to_numpy()[at], units, -units).astype(np.int64)
    return signed


def _sums(groups: int, of: np.ndarray, signed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per group the sum of the signed amounts, and the sum of their sizes; in whole numbers throughout."""
    total, size = np.zeros(groups, dtype=np.int64), np.zeros(groups, dtype=np.int64)
    np.add.at(total, of, signed)
    np.add.at(size, of, np.abs(signed))
    return total, size
