"""The two figures of a discrepancy, ``amount`` and ``difference``, by the one convention of reconciliation/discrepancy.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from reconciliation.discrepancy import EXPECTING_NOTHING, DiscrepancyKind


class Figures(NamedTuple):
    """Minor units: the money of the named side (never negative), and bank effect less book expectation (IN is positive)."""

    amount: int
    difference: int


def figures_of(
    kind: DiscrepancyKind,
    lines: pd.DataFrame,
    items: pd.DataFrame,
    item_used: np.ndarray,
    *,
    on_bank: Sequence[int],
    on_book: Sequence[int],
    expected: int | None = None,
) -> Figures:
    """The figures of a discrepancy of ``kind`` that names these positions of ``lines`` and ``items`` (frames.py).

    ``item_used``: per item, whether a match has consumed it, so that the books expect nothing more of it. ``expected``: what
    the books expect of the lines, signed, where that is not the sum of the open items (a batch less its fee).
    """
    if kind is DiscrepancyKind.DUPLICATE_LEDGER:
        return _repeated(items, on_book)
    moved = _signed(lines, on_bank)
    if not on_bank:
        held = _signed(items, on_book)
        return Figures(sum(abs(units) for units in held), -sum(held))
    amount = sum(abs(units) for units in moved)
    if kind in (DiscrepancyKind.CURRENCY_MISMATCH, DiscrepancyKind.LATE):
        return Figures(amount, 0)
    if kind in EXPECTING_NOTHING:
        return Figures(amount, sum(moved))
    if expected is None:
        still = [item for item in on_book if not item_used[item]]
        expected = sum(_signed(items, still, less="fee"))
    return Figures(amount, sum(moved) - expected)


def _repeated(items: pd.DataFrame, twins: Sequence[int]) -> Figures:
    """What twins are too much: all of them but one, whether or not the bank has shown the one already."""
    held = _signed(items, twins)
    again = sum(held) - max(held, key=abs)
    return Figures(abs(again), -again)


def _signed(side: pd.DataFrame, at: Sequence[int], *, less: str | None = None) -> list[int]:
    rows = list(at)
    units = side["amount"].to_numpy()[rows]
    if less:
        units = units - side[less].to_numpy()[rows]
    signed: list[int] = np.where(side["inward"].to_numpy()[rows], units, -units).tolist()
    return signed
