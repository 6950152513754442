"""Digests of the books in their canonical encodings, as a stranger would recompute them. No SQL.

The database computes the same in ``transfer_leaf_v1`` and ``merkle_root`` (migration 0002_ledger) and refuses a transfer
whose leaf differs, so the two implementations prove each other at every posting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date

_DAY_ZERO = date(2000, 1, 1).toordinal()


def days_since_2000(day: date) -> int:
    """A business day as leaves write it."""
    return day.toordinal() - _DAY_ZERO


def sized(text: str) -> str:
    """Free text as leaves write it, after its length in bytes."""
    return f"{len(text) if text.isascii() else len(text.encode())}:{text}"


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Merkle tree hash of RFC 6962 section 2.1 over leaves that are already hashed. Raises ValueError for none.

    From the bottom up: pairs are hashed behind a byte 0x01; an odd last node goes up as it is and is never doubled.
    """
    if not leaves:
        raise ValueError("a batch without transfers has no root")
    nodes = list(leaves)
    while len(nodes) > 1:
        paired = [hashlib.sha256(b"\1" + left + right).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=False)]
        nodes = paired + nodes[-1:] if len(nodes) % 2 else paired
    return nodes[0]
