"""Which fits are unique on both sides, which are copies of one movement, and which nobody can decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from reconciliation.matching.state import Comparison


@dataclass(frozen=True, slots=True)
class Resolution:
    """Fitting pairs (line, unit, reference): those to confirm, and those nobody can decide."""

    unique: pd.DataFrame
    undecided: pd.DataFrame


def resolve(fits: pd.DataFrame, state: Comparison) -> Resolution:
    """Sort fitting pairs.

    A line and a unit that fit only each other are unique. Several lines that fit one unit and nothing else are copies
    of one movement (same reference, direction and amount): the first one booked is the movement, the others stay open and
    are classified as duplicates; which of the copies counts as first has no effect on the books. The rest is undecided.
    """
    line, unit = fits["line"].to_numpy(), fits["unit"].to_numpy()
    units_of_line = np.bincount(line)[line]
    lines_of_unit = np.bincount(unit)[unit]
    unique = (units_of_line == 1) & (lines_of_unit == 1)
    if unique.all():
        return Resolution(fits, fits.iloc[:0])
    rest = fits[~unique]
    widest = np.zeros(unit.max() + 1, dtype=np.int64)
    np.maximum.at(widest, rest["unit"].to_numpy(), units_of_line[~unique])
    copies = rest[widest[rest["unit"].to_numpy()] == 1]
    order = state.lines[["booked", "valued", "position"]].iloc[copies["line"].to_numpy()].reset_index(drop=True)
    copies = pd.concat([copies.reset_index(drop=True), order], axis=1)
    copies = copies.sort_values(["unit", "booked", "valued", "position", "line"], kind="stable")
    later = copies.duplicated("unit")
    columns = list(fits.columns)
    return Resolution(
        pd.concat([fits[unique], copies.loc[~later, columns]], ignore_index=True),
        rest[widest[rest["unit"].to_numpy()] > 1].reset_index(drop=True),
    )
