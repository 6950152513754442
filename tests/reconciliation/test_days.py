"""However days are grouped into comparisons, the same is confirmed and the same is open on the same day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from config.matching import load_matching_rules
from reconciliation.matching import match_day_by_day, match_frames

RULES = load_matching_rules()
START = date(2025, 3, 3)
DAYS = 8

_reference = st.sampled_from(["", "ORD1000001", "ORD1000002", "ORD1000003|ORD1000001", "BATCH001", "WX7777777"])
_row = {
    "direction": st.sampled_from(["IN", "IN", "IN", "OUT"]),
    "amount": st.sampled_from([100, 200, 300]),
    "references": _reference,
}
_lines = st.lists(
    st.fixed_dictionaries({**_row, "day": st.integers(0, DAYS - 1), "description": st.sampled_from(["", "", "冲正"])}), max_size=9
)
_items = st.lists(
    st.fixed_dictionaries({**_row, "day": st.integers(0, DAYS - 1), "group_key": st.sampled_from(["", "", "BATCH001"])}),
    max_size=9,
)
_groupings = st.sets(st.integers(0, DAYS - 2)).map(lambda ends: [*sorted(ends), DAYS - 1])


def frames(lines: list[dict[str, Any]], items: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = ["account", "currency", "direction", "amount", "references"]
    bank = pd.DataFrame(
        [
            {"line_id": f"L{n}", "account": "A", "currency": "CNY", "position": n, **one, "business_date": _day(one["day"])}
            for n, one in enumerate(lines)
        ],
        columns=["line_id", *columns, "position", "description", "business_date"],
    )
    book = pd.DataFrame(
        [
            {"item_id": f"I{n}", "account": "A", "currency": "CNY", **one, "booking_date": _day(one["day"]), "consumed": False}
            for n, one in enumerate(items)
        ],
        columns=["item_id", *columns, "group_key", "booking_date", "consumed"],
    )
    bank["booking_date"], book["due_date"] = bank["business_date"], book["booking_date"]
    for frame in (bank, book):
        frame["amount"] = frame["amount"].astype("Int64")
    bank["position"] = bank["position"].astype("int64")
    return bank, book


def _day(number: int) -> date:
    return START + timedelta(days=number)


def runs(bank: pd.DataFrame, book: pd.DataFrame, ends: list[int]) -> tuple[set[str], set[tuple[Any, ...]]]:
    """Matches of all runs that end on these days, and what is open after the last; each run sees what is there by its day."""
    matches: set[str] = set()
    known: date | None = None
    open_then: set[tuple[Any, ...]] = set()
    for end in ends:
        day = _day(end)
        lines, items = bank[bank["business_date"] <= day], book[book["booking_date"] <= day]
        outcome = match_day_by_day(lines, items, RULES, day, known_through={"A": known})
        found = outcome.confirmed
        matches |= set(found["match_id"])
        bank = bank[~bank["line_id"].isin(set(found["member_id"]))]
        book = book.assign(consumed=book["consumed"] | book["item_id"].isin(set(found["member_id"])))
        known = day
        open_then = set(outcome.discrepancies.itertuples(index=False, name=None))
    return matches, open_then


@given(_lines, _items, _groupings)
@settings(max_examples=40, deadline=None)
def test_the_grouping_of_days_into_runs_changes_nothing(lines: Any, items: Any, ends: list[int]) -> None:
    bank, book = frames(lines, items)
    assert runs(bank, book, ends) == runs(bank, book, list(range(DAYS)))


def test_a_number_used_again_casts_no_doubt_on_what_was_plain_before() -> None:
    line = {"direction": "IN", "amount": 100, "references": "ORD1000001", "description": ""}
    item = {"direction": "IN", "amount": 100, "references": "ORD1000001", "group_key": ""}
    bank, book = frames([{**line, "day": 1}, {**line, "day": 3}], [{**item, "day": 0}, {**item, "day": 2}])
    together = match_frames(bank, book, RULES, _day(3))
    assert together.confirmed.empty, "looked at all at once, nobody can tell which paid which"
    by_day = match_day_by_day(bank, book, RULES, _day(3), known_through={})
    pairs = by_day.confirmed.groupby("match_id")["member_id"].agg(set).tolist()
    assert sorted(map(sorted, pairs)) == [["I0", "L0"], ["I1", "L1"]]
