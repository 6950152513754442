"""Proposals by amount and date: never confirmed, only shown; where several are possible the lines are AMBIGUOUS."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reconciliation.discrepancy import DiscrepancyKind
from reconciliation.matching.groups import components
from reconciliation.matching.state import Comparison

_KEY = ["account_code", "currency", "inward", "amount"]


def propose_by_amount_and_date(state: Comparison, quiet: np.ndarray, ours: np.ndarray) -> None:
    """Look for open items of the same amount that were due when the line was booked and still in time.

    One line and one item that fit only each other become a suggestion (state.suggestions). Lines that carry no reference of
    ours and fit several items, or compete for one, are AMBIGUOUS: one discrepancy for all that hangs together. A line that
    names something else of ours competes with nobody: it says itself that it is another payment.
    """
    lines = state.lines.iloc[quiet][["at", *_KEY, "booked"]]
    items = state.items[state.open_items][["at", *_KEY, "due", "until"]]
    if lines.empty or items.empty:
        return
    sizes = lines.groupby(_KEY).size().to_frame("lines").join(items.groupby(_KEY).size().to_frame("items"), how="inner")
    listed = (sizes["lines"] * sizes["items"]) <= state.rules.candidates_at_most
    narrow, wide = (sizes[chosen].index.to_frame(index=False) for chosen in (listed, ~listed))
    found = lines.merge(narrow, on=_KEY).merge(items, on=_KEY, suffixes=("_line", "_item"))
    found = found[(found["due"] <= found["booked"]) & (found["booked"] <= found["until"])]
    found = found.rename(columns={"at_line": "line", "at_item": "item"})[["line", "item"]]
    names_another = ours[found["line"].to_numpy()]
    unnamed = found[~names_another]
    alone = _alone(unnamed)
    named_alone = found[names_another & _alone(found)]
    state.suggestions = pd.concat([unnamed[alone], named_alone]).sort_values(["line", "item"], ignore_index=True)
    rest = unnamed[~alone]
    group = components(rest["line"].to_numpy(), rest["item"].to_numpy())
    for _, rows in rest.groupby(group, sort=True):
        _name(state, rows["line"].unique().tolist(), rows["item"].unique().tolist())
    if len(wide):
        _name_wide(state, lines[~ours[lines["at"].to_numpy()]].merge(wide, on=_KEY), items.merge(wide, on=_KEY))


def _alone(found: pd.DataFrame) -> np.ndarray:
    """Per pair: its line and its item are in no other pair."""
    sizes = [found.groupby(side)["line"].transform("size").to_numpy() for side in ("line", "item")]
    alone: np.ndarray = (sizes[0] == 1) & (sizes[1] == 1)
    return alone


def _name_wide(state: Comparison, lines: pd.DataFrame, items: pd.DataFrame) -> None:
    """Too many pairs to list: all lines of one amount, and all items of it that were open within the lines' days."""
    of_key = dict(list(items.groupby(_KEY)))
    for key, rows in lines.groupby(_KEY, sort=True):
        candidates = of_key[key]
        fitting = candidates[(candidates["due"] <= rows["booked"].max()) & (candidates["until"] >= rows["booked"].min())]
        if len(fitting):
            _name(state, rows["at"].tolist(), fitting["at"].tolist())


def _name(state: Comparison, lines: list[int], items: list[int]) -> None:
    shown = f"{_count(len(lines), 'line')} without a reference of ours and {_count(len(items), 'open item')}"
    state.name(DiscrepancyKind.AMBIGUOUS, lines, items, f"{shown} agree in amount and time; nothing tells who paid what")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
