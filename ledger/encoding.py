"""Digests of the books in their canonical encodings, as a stranger would recompute them. No SQL.

The database computes the same in ``transfer_leaf_v1`` and ``merkle_root`` (migration 0002_ledger) and refuses a transfer
whose leaf differs, so the two implementations prove each other at every posting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from uuid import UUID

_DAY_ZERO = date(2000, 1, 1).toordinal()


def uuid_text(value: UUID) -> str:
    """``str(value)`` in half the time; a large batch asks for it often."""
    digits = f"{value.int:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class LeafWriter:
    """Computes leaves; remembers the texts that recur in a batch (days, reasons, source kinds)."""

    def __init__(self) -> None:
        self._days: dict[date, int] = {}
        self._sized: dict[str, str] = {}

    def leaf(  # noqa: PLR0917  the columns of a transfer in table order
        self,
        institution_id: int,
        transfer_id: str,
        batch_id: int,
        line: int,
        debit_account_id: int,
        credit_account_id: int,
        amount_minor_units: int,
        currency: str,
        booking_date: date,
        reason: str,
        source_kind: str,
        source_ref: str,
        reverses: str | None,
        debit_seq: int,
        debit_balance_minor_units: int,
        credit_seq: int,
        credit_balance_minor_units: int,
    ) -> bytes:
        """Leaf v1 of a transfer: SHA-256 of a zero byte (RFC 6962, a leaf) and its columns, in table order, as UTF-8 text.

        Fields are joined by ``|``; dates are days since 2000-01-01; free text stands after its length in bytes and a
        colon; a missing ``reverses`` is ``-``; ids are given as text. Balances are debits minus credits.
        """
        day = self._days.get(booking_date)
        if day is None:
            day = self._days[booking_date] = booking_date.toordinal() - _DAY_ZERO
        text = (
            f"\0v1|{institution_id}|{transfer_id}|{batch_id}|{line}|{debit_account_id}|{credit_account_id}|{amount_minor_units}"
            f"|{currency}|{day}|{self._sized.get(reason) or self._keep(reason)}"
            f"|{self._sized.get(source_kind) or self._keep(source_kind)}|{_sized(source_ref)}|{reverses or '-'}"
            f"|{debit_seq}|{debit_balance_minor_units}|{credit_seq}|{credit_balance_minor_units}"
        )
        return hashlib.sha256(text.encode()).digest()

    def _keep(self, text: str) -> str:
        sized = self._sized[text] = _sized(text)
        return sized


def _sized(text: str) -> str:
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
