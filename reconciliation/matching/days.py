"""A comparison of several days at once that gives what one comparison a day would have given.

What a day's lines proved with the items known by then stays proven, whatever the following days bring: a reference used
again a week later must not cast doubt on a movement that was plain when it was booked, only because nobody looked earlier.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pandas as pd

from reconciliation.matching.engine import match_frames
from reconciliation.matching.outcome import Outcome, canonical
from reconciliation.matching.rules import MatchingRules


def match_day_by_day(
    bank: pd.DataFrame,
    book: pd.DataFrame,
    rules: MatchingRules,
    as_of: date,
    *,
    known_through: Mapping[str, date | None],
) -> Outcome:
    """match_frames as of a day, after the same for every earlier day on which something new came.

    ``bank`` also has ``business_date`` (the statement's day), ``book`` ``booking_date`` and ``consumed``. ``known_through``: per
    account the last day an earlier comparison has seen (None: none); only days after it are compared by themselves. The
    discrepancies are those of ``as_of``; the matches of all days are together. Raises FrameRefused.
    """
    if bank.empty or book.empty:
        return match_frames(bank, book, rules, as_of)
    since = bank["account"].map(lambda account: known_through.get(account) or date.min)
    days = sorted(
        {day for day, known in zip(bank["business_date"], since, strict=True) if known < day < as_of}
        | {
            day
            for day, account in zip(book["booking_date"], book["account"], strict=True)
            if (known_through.get(account) or date.min) < day < as_of
        }
    )
    confirmed: list[pd.DataFrame] = []
    first_line = bank["business_date"].min()
    for day in (one for one in days if one >= first_line):
        waiting = {account for account in bank["account"].unique() if (known_through.get(account) or date.min) < day}
        lines = bank[(bank["business_date"] <= day) & bank["account"].isin(waiting)]
        if lines.empty:
            continue
        items = book[(book["booking_date"] <= day) & book["account"].isin(waiting)]
        found = match_frames(lines, items, rules, day).confirmed
        if not found.empty:
            confirmed.append(found)
            bank = bank[~bank["line_id"].isin(set(found.loc[found["side"] == "bank", "member_id"]))]
            settled = book["item_id"].isin(set(found.loc[found["side"] == "book", "member_id"]))
            book = book.assign(consumed=book["consumed"].astype(bool) | settled)
    last = match_frames(bank, book, rules, as_of)
    if not confirmed:
        return last
    return canonical(pd.concat([*confirmed, last.matches], ignore_index=True), last.discrepancies, rules.version)
