"""The two sides of a comparison in one canonical form.

Amounts are Int64 minor units, references text, dates whole days since 1970-01-01; no column is ever a float. Rows are
sorted by their id, so nothing later depends on the order in which rows came.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from reconciliation.matching.references import says
from reconciliation.matching.rules import MatchingRules

BANK_TEXT = (
    "references",
    "counterparty_name",
    "counterparty_account",
    "description",
    "bank_reference",
    "transaction_code",
)
BOOK_TEXT = ("references", "counterparty_name", "counterparty_account", "group_key", "kind", "original_item_id")

#: Columns a caller must give; all others may be missing.
BANK_REQUIRED = ("line_id", "account", "currency", "direction", "amount", "booking_date")
BOOK_REQUIRED = ("item_id", "account", "currency", "direction", "amount", "due_date")

NO_DAY = np.int64(-(2**62))


class FrameRefused(ValueError):
    """A frame lacks a column, repeats an id, or holds an amount that is not a whole positive number of minor units."""


def days_of(values: pd.Series) -> np.ndarray:
    """Dates as whole days since 1970-01-01 (int64); missing ones are NO_DAY."""
    stamps = pd.to_datetime(values).to_numpy().astype("datetime64[D]")
    return np.where(np.isnat(stamps), NO_DAY, stamps.astype(np.int64))


def day_text(days: pd.Series | np.ndarray) -> pd.Series:
    """Whole days as ISO dates."""
    return pd.Series(np.datetime_as_string(np.asarray(days, dtype=np.int64).astype("datetime64[D]"))).astype("str")


def canonical_bank(frame: pd.DataFrame, rules: MatchingRules) -> pd.DataFrame:
    """Bank lines ready to be compared, sorted by ``line_id``.

    Needs BANK_REQUIRED; knows BANK_TEXT, ``value_date``, ``reversal`` (bool; otherwise read out of the texts),
    ``position`` (the line's place in its statement, int) and ``consumed`` (bool: matched in an earlier run, so it can only
    explain others). Raises FrameRefused.
    """
    side = _common(frame, BANK_REQUIRED, "line_id", BANK_TEXT)
    side["booked"] = days_of(frame["booking_date"])
    if (side["booked"] == NO_DAY).any():
        raise FrameRefused("a bank line has no booking date")
    side["valued"] = days_of(frame["value_date"]) if "value_date" in frame else side["booked"]
    side["position"] = frame["position"].astype("int64").to_numpy() if "position" in frame else np.int64(0)
    texts = side["description"].str.cat(side["transaction_code"], sep=" ")
    flagged = frame["reversal"].fillna(False).astype(bool).to_numpy() if "reversal" in frame else False
    side["reversal"] = says(texts, rules.reversal) | flagged
    return _sorted(side, "line_id")


def canonical_book(frame: pd.DataFrame, rules: MatchingRules) -> pd.DataFrame:
    """Book items ready to be compared, sorted by ``item_id``.

    Needs BOOK_REQUIRED; knows BOOK_TEXT, ``expected_fee`` (minor units kept back from this item; 0), ``window_until`` (last
    day it is in time; otherwise due date plus the rules' calendar days) and ``consumed``. Raises FrameRefused.
    """
    side = _common(frame, BOOK_REQUIRED, "item_id", BOOK_TEXT)
    side["due"] = days_of(frame["due_date"])
    if (side["due"] == NO_DAY).any():
        raise FrameRefused("a book item has no due date")
    if "window_until" in frame:
        side["until"] = days_of(frame["window_until"])
    else:
        lasting = {kind: rules.window(kind).days for kind in side["kind"].unique()}
        side["until"] = side["due"] + side["kind"].map(lasting).astype("int64")
    fee = frame["expected_fee"].fillna(0) if "expected_fee" in frame else pd.Series(0, index=frame.index)
    side["fee"] = _whole(fee, "expected_fee").to_numpy()
    if (side["fee"] < 0).any():
        raise FrameRefused("an expected fee is below zero")
    return _sorted(side, "item_id")


def _common(frame: pd.DataFrame, required: tuple[str, ...], identity: str, texts: tuple[str, ...]) -> pd.DataFrame:
    missing = [name for name in required if name not in frame]
    if missing:
        raise FrameRefused(f"columns are missing: {', '.join(missing)}")
    side = pd.DataFrame({name: frame[name].astype("str").to_numpy() for name in (identity, "account", "currency")})
    for name in (identity, "account", "currency"):
        side[name] = side[name].astype("str")
    if side[identity].duplicated().any():
        again = side.loc[side[identity].duplicated(), identity].iloc[0]
        raise FrameRefused(f"{identity} {again} appears twice")
    direction = frame["direction"].astype("str")
    if not direction.isin(["IN", "OUT"]).all():
        raise FrameRefused("a direction is neither IN nor OUT")
    side["inward"] = (direction == "IN").to_numpy(dtype=bool)
    amount = _whole(frame["amount"], "amount")
    if (amount <= 0).any():
        raise FrameRefused("an amount is not above zero; the direction says which way money moved")
    side["amount"] = amount.to_numpy()
    for name in texts:
        given = frame[name].fillna("").astype("str").to_numpy() if name in frame else ""
        side[name] = pd.Series(given, index=side.index, dtype="str")
    side["consumed"] = frame["consumed"].fillna(False).astype(bool).to_numpy() if "consumed" in frame else False
    return side


def _whole(values: pd.Series, name: str) -> pd.Series:
    """The column as int64, refusing anything that has passed through a float (2^53 would already have lost a fen)."""
    if pd.api.types.is_float_dtype(values.dtype) or not (
        pd.api.types.is_integer_dtype(values.dtype) or values.map(lambda value: isinstance(value, int)).all()
    ):
        raise FrameRefused(f"{name} must be whole minor units (Int64), not {values.dtype}")
    return values.astype("int64")


def _sorted(side: pd.DataFrame, identity: str) -> pd.DataFrame:
    ordered = side.sort_values(identity, kind="stable", ignore_index=True)
    ordered.insert(0, "at", np.arange(len(ordered), dtype=np.int64))
    return ordered
