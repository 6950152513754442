"""Movements split on one side: one line that pays several items by their references, several lines that together pay one.

Whole groups only, never a choice of some: every line that names the item and every item the line names must take part, so
nothing is searched for and the answer is unique. A group in which some pair fits alone is none of this module's business.
"""

from __future__ import annotations

import pandas as pd

from reconciliation.matching.state import Comparison, Total


def confirm_totals(state: Comparison) -> None:
    """Confirm groups of one line and several items, or several lines and one unit, whose totals agree."""
    pairs = _open_pairs(state)
    if pairs.empty:
        return
    pairs["units"] = pairs.groupby("line")["key"].transform("size")
    pairs["lines"] = pairs.groupby("key")["line"].transform("size")
    _one_line(state, pairs)
    _one_unit(state, pairs)


def _open_pairs(state: Comparison) -> pd.DataFrame:
    """Pairs of open lines and what their references name: line, step, unit, key (of the unit), reference, amount, expected,
    good (open, same currency, direction and in time). A line that names anything it cannot take part in is left out whole.
    """
    parts = []
    for step, hits in enumerate(state.hits):
        pairs = hits.pairs[state.open_lines[hits.pairs["line"].to_numpy()]]
        if pairs.empty:
            continue
        unit = pairs["unit"].to_numpy()
        closed = state.unit_closed(hits.units)[unit]
        good = pairs["same_currency"] & pairs["same_direction"] & pairs["in_time"] & ~pairs["fits"] & ~closed
        parts.append(
            pd.DataFrame(
                {
                    "line": pairs["line"].to_numpy(),
                    "step": step,
                    "unit": unit,
                    "reference": pairs["reference"].to_numpy(),
                    "amount": state.lines["amount"].to_numpy()[pairs["line"].to_numpy()],
                    "expected": hits.units.frame["expected"].to_numpy()[unit],
                    "is_group": hits.units.frame["is_group"].to_numpy()[unit],
                    "good": good.to_numpy(),
                }
            )
        )
    if not parts:
        return pd.DataFrame()
    found = pd.concat(parts, ignore_index=True)
    found["key"] = found["step"] * (found["unit"].max() + 1) + found["unit"]
    whole = found.groupby("line")["good"].transform("all")
    found["good"] = whole & found["good"]
    found["good"] = found.groupby("key")["good"].transform("all")
    return found


def _one_line(state: Comparison, pairs: pd.DataFrame) -> None:
    """One line that names several single items nobody else names, and pays all of them."""
    mine = pairs[(pairs["units"] > 1) & pairs["good"] & (pairs["lines"] == 1) & ~pairs["is_group"].to_numpy(dtype=bool)]
    grouped = mine.groupby("line")
    agree = grouped["expected"].transform("sum") == mine["amount"]
    mine = mine[agree & (grouped["key"].transform("size") == mine["units"])]
    members = _members(state, mine)
    for line, rows in mine.groupby("line", sort=True):
        items = [item for key in rows["key"].tolist() for item in members[key]]
        if len(set(items)) == len(items):
            state.confirm_total(Total((int(str(line)),), tuple(sorted(items)), rows["reference"].min()))


def _one_unit(state: Comparison, pairs: pd.DataFrame) -> None:
    """Several lines that name one item or batch and nothing else, and together pay it."""
    mine = pairs[(pairs["lines"] > 1) & pairs["good"] & (pairs["units"] == 1)]
    grouped = mine.groupby("key")
    agree = grouped["amount"].transform("sum") == mine["expected"]
    mine = mine[agree & (grouped["line"].transform("size") == mine["lines"])]
    members = _members(state, mine)
    for key, rows in mine.groupby("key", sort=True):
        items = members[int(str(key))]
        if not state.item_used[items].any() and not state.item_named[items].any():
            state.confirm_total(Total(tuple(sorted(rows["line"].tolist())), tuple(items), rows["reference"].min()))


def _members(state: Comparison, rows: pd.DataFrame) -> dict[int, list[int]]:
    """The items of every unit of ``rows``, by key."""
    found: dict[int, list[int]] = {}
    for step, chosen in rows.groupby("step"):
        items = state.hits[int(str(step))].units.items_of(chosen["unit"].tolist())
        found |= {key: items[unit] for key, unit in zip(chosen["key"].tolist(), chosen["unit"].tolist(), strict=True)}
    return found
