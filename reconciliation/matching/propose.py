"""Proposals by amount and date: never confirmed, only shown; where several are possible the line is AMBIGUOUS."""

from __future__ import annotations

import numpy as np

from reconciliation.discrepancy import DiscrepancyKind
from reconciliation.matching.state import Comparison

_KEY = ["account_code", "currency", "inward", "amount"]


def propose_by_amount_and_date(state: Comparison, quiet: np.ndarray, ours: np.ndarray) -> None:
    """Look for open items of the same amount that were due when the line was booked and still in time.

    One line and one item that fit only each other become a suggestion (state.suggestions). A line that carries no
    reference of ours and fits several items, or competes for one, is named AMBIGUOUS with all of them.
    """
    lines = state.lines.iloc[quiet][["at", *_KEY, "booked"]]
    items = state.items[state.open_items][["at", *_KEY, "due", "until"]]
    if lines.empty or items.empty:
        return
    sizes = lines.groupby(_KEY).size().to_frame("lines").join(items.groupby(_KEY).size().to_frame("items"), how="inner")
    narrow = sizes[(sizes["lines"] * sizes["items"]) <= state.rules.candidates_at_most].index.to_frame(index=False)
    found = lines.merge(narrow, on=_KEY).merge(items, on=_KEY, suffixes=("_line", "_item"))
    found = found[(found["due"] <= found["booked"]) & (found["booked"] <= found["until"])]
    found = found.rename(columns={"at_line": "line", "at_item": "item"})[["line", "item"]]
    items_of_line = found.groupby("line")["item"].transform("size")
    lines_of_item = found.groupby("item")["line"].transform("size")
    alone = (items_of_line == 1) & (lines_of_item == 1)
    state.suggestions = found[alone].reset_index(drop=True)
    rest = found[~alone & ~ours[found["line"].to_numpy()]]
    for line, group in rest.groupby("line", sort=True):
        why = f"{len(group)} open items of this amount were due, and it carries no reference that tells them apart"
        if len(group) == 1:
            why = "several lines of this amount compete for one item, and none carries a reference that tells them apart"
        state.name(DiscrepancyKind.AMBIGUOUS, int(str(line)), group["item"].tolist(), 0, why)
    wide = sizes[(sizes["lines"] * sizes["items"]) > state.rules.candidates_at_most].index.to_frame(index=False)
    for line in lines.merge(wide, on=_KEY)["at"].sort_values().tolist():
        if not ours[line]:
            state.name(DiscrepancyKind.AMBIGUOUS, int(line), (), 0, "too many open items of this amount to list")
