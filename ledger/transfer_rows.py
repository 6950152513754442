"""Accepted transfers as the rows that COPY carries, each with its leaf. No SQL beyond COPY's text format."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date

from ledger.encoding import days_since_2000, sized, uuid_text
from ledger.posting import NumberedTransfer

_NULL = "\\N"
_ESCAPES: Mapping[int, str] = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NEEDS_ESCAPE = re.compile(r"[\\\t\n\r]")


class TransferRows:
    """Renders rows and keeps the texts that recur in them (days, reasons, source kinds).

    Leaf v1 of a transfer: SHA-256 of a zero byte (RFC 6962, a leaf) and its columns, in table order, as UTF-8 text. Fields are
    joined by ``|``; dates are days since 2000-01-01; free text stands after its length in bytes and a colon; a missing
    ``reverses`` is ``-``; ids are given as text. Balances are debits minus credits.
    """

    def __init__(self) -> None:
        self._days: dict[date, tuple[str, int]] = {}
        self._names: dict[tuple[str, str], tuple[str, str]] = {}

    def text(self, lines: Sequence[NumberedTransfer], batch_id: int, first_line: int) -> str:
        """Rows of transfers of one institution that follow each other in a batch, the first of them on line ``first_line``."""
        rows = []
        days, names, digest, needs_escape = self._days, self._names, hashlib.sha256, _NEEDS_ESCAPE.search
        for line, (transfer, debit_seq, debit_balance, credit_seq, credit_balance) in enumerate(lines, first_line):
            day = days.get(transfer.booking_date) or self._day(transfer.booking_date)
            named = names.get((transfer.reason, transfer.source_kind)) or self._name(transfer.reason, transfer.source_kind)
            identity, amount, source_ref = uuid_text(transfer.transfer_id), transfer.amount, transfer.source_ref
            reverses = uuid_text(transfer.reverses) if transfer.reverses else None
            sized_ref = f"{len(source_ref)}:{source_ref}" if source_ref.isascii() else sized(source_ref)
            leaf = digest(
                f"\0v1|{transfer.institution_id}|{identity}|{batch_id}|{line}|{transfer.debit_account_id}"
                f"|{transfer.credit_account_id}|{amount.minor_units}|{amount.currency}|{day[1]}|{named[0]}|{sized_ref}"
                f"|{reverses or '-'}|{debit_seq}|{debit_balance}|{credit_seq}|{credit_balance}".encode()
            ).hexdigest()
            ref = source_ref.translate(_ESCAPES) if needs_escape(source_ref) else source_ref
            rows.append(
                f"{transfer.institution_id}\t{identity}\t{batch_id}\t{line}\t{transfer.debit_account_id}"
                f"\t{transfer.credit_account_id}\t{amount.minor_units}\t{amount.currency}\t{day[0]}\t{named[1]}\t{ref}"
                f"\t{reverses or _NULL}\t{debit_seq}\t{debit_balance}\t{credit_seq}\t{credit_balance}\t\\\\x{leaf}\n"
            )
        return "".join(rows)

    def _day(self, day: date) -> tuple[str, int]:
        kept = self._days[day] = (day.isoformat(), days_since_2000(day))
        return kept

    def _name(self, reason: str, source_kind: str) -> tuple[str, str]:
        """Reason and source kind as the leaf has them and as the row has them."""
        kept = self._names[reason, source_kind] = (
            f"{sized(reason)}|{sized(source_kind)}",
            f"{reason.translate(_ESCAPES)}\t{source_kind.translate(_ESCAPES)}",
        )
        return kept
