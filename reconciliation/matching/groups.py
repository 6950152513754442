"""What hangs together: groups of lines and units (or items) connected by shared evidence."""

from __future__ import annotations

import numpy as np


def components(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The group of each edge (left, right): edges that share an end, directly or through others, are in one group.

    Groups are numbered by their smallest left end, in ascending order; the order of the edges does not matter.
    """
    lefts, at_left = np.unique(left, return_inverse=True)
    rights, at_right = np.unique(right, return_inverse=True)
    label = np.arange(len(lefts), dtype=np.int64)
    while True:  # the smallest left end spreads along the edges until nothing changes
        of_right = np.full(len(rights), len(lefts), dtype=np.int64)
        np.minimum.at(of_right, at_right, label[at_left])
        spread = label.copy()
        np.minimum.at(spread, at_left, of_right[at_right])
        spread = np.minimum(spread, spread[spread])
        if (spread == label).all():
            numbered: np.ndarray = np.unique(label[at_left], return_inverse=True)[1]
            return numbered
        label = spread
