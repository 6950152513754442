"""One comparison shared among worker processes by account; the outcome is the same for any number of them."""

from __future__ import annotations

import zlib
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context

import numpy as np
import pandas as pd

from reconciliation.matching.engine import match_frames
from reconciliation.matching.outcome import Outcome, merged
from reconciliation.matching.rules import MatchingRules


def match_in_workers(
    bank: pd.DataFrame, book: pd.DataFrame, rules: MatchingRules, workers: int, as_of: date | None = None
) -> Outcome:
    """match_frames over ``workers`` processes. Accounts are dealt out by a checksum of their name, never split."""
    if workers <= 1:
        return match_frames(bank, book, rules, as_of)
    left, right = _bucket(bank["account"], workers), _bucket(book["account"], workers)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(match_frames, bank[left == number], book[right == number], rules, as_of) for number in range(workers)
        ]
        return merged(done.result() for done in waiting)


def _bucket(accounts: pd.Series, workers: int) -> np.ndarray:
    codes = {name: zlib.crc32(str(name).encode()) % workers for name in accounts.unique()}
    buckets: np.ndarray = accounts.map(codes).to_numpy(dtype=np.int64)
    return buckets
