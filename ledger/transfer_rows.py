"""Accepted transfers as the rows that COPY carries, each with its leaf. No SQL beyond COPY's binary format."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from struct import Struct

from ledger.encoding import days_since_2000, sized
from ledger.posting import NumberedTransfer

#: What a table in COPY's binary format begins and ends with: eleven bytes that no text conversion leaves alone, no flags and no
#: extension; a row of minus one columns.
BEGINNING, END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"

#: Each column stands behind its length in bytes, -1 for null; numbers are big-endian, a date is its days since 2000-01-01. A row
#: begins with the number of its columns. Three parts, with the texts between them.
_LENGTH = Struct(">i").pack
_UP_TO_DATE = Struct(">h ii i16s iq ii iq iq iq i3s ii").pack
_NUMBERS_AND_LEAF = Struct(">iq iq iq iq i32s").pack
_COLUMNS, _NULL = 18, _LENGTH(-1)


class TransferRows:
    """Renders rows and keeps what recurs in them (days, reasons, source kinds). ``encoding`` is the connection's, for texts.

    Leaf v1 of a transfer: SHA-256 of a zero byte (RFC 6962, a leaf) and its columns, in table order, as UTF-8 text. Fields are
    joined by ``|``; dates are days since 2000-01-01; free text stands after its length in bytes and a colon; a missing
    ``reverses`` is ``-``; ids are given as text. Balances are debits minus credits.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._days: dict[date, int] = {}
        self._names: dict[tuple[str, str], tuple[str, bytes]] = {}

    def rendered(self, lines: Sequence[NumberedTransfer], batch_id: int, first_line: int) -> bytes:
        """Rows of transfers of one institution that follow each other in a batch, the first of them on line ``first_line``."""
        rows: list[bytes] = []
        days, names, digest, encoding = self._days, self._names, hashlib.sha256, self._encoding
        for line, (transfer, debit_seq, debit_balance, credit_seq, credit_balance) in enumerate(lines, first_line):
            day = days.get(transfer.booking_date)
            if day is None:
                day = days[transfer.booking_date] = days_since_2000(transfer.booking_date)
            named = names.get((transfer.reason, transfer.source_kind)) or self._name(transfer.reason, transfer.source_kind)
            institution, debit, credit = transfer.institution_id, transfer.debit_account_id, transfer.credit_account_id
            units, currency = transfer.amount.minor_units, transfer.amount.currency
            number, ref = transfer.transfer_id.int, transfer.source_ref
            digits, reverses = f"{number:032x}", transfer.reverses
            leaf = digest(
                f"\0v1|{institution}|{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}|{batch_id}|{line}"
                f"|{debit}|{credit}|{units}|{currency}|{day}|{named[0]}|{sized(ref)}|{reverses or '-'}|{debit_seq}"
                f"|{debit_balance}|{credit_seq}|{credit_balance}".encode()
            ).digest()
            ref_bytes = ref.encode(encoding)
            rows += (
                _UP_TO_DATE(
                    _COLUMNS, 4, institution, 16, number.to_bytes(16), 8, batch_id, 4, line, 8, debit, 8, credit, 8, units,
                    3, currency.encode(), 4, day,
                ),
                named[1],
                _LENGTH(len(ref_bytes)),
                ref_bytes,
                _NULL if reverses is None else _LENGTH(16) + reverses.bytes,
                _NUMBERS_AND_LEAF(8, debit_seq, 8, debit_balance, 8, credit_seq, 8, credit_balance, 32, leaf),
            )  # fmt: skip
        return b"".join(rows)

    def _name(self, reason: str, source_kind: str) -> tuple[str, bytes]:
        """Reason and source kind as the leaf has them and as the row has them."""
        in_row = b"".join(
            _LENGTH(len(text)) + text for text in (reason.encode(self._encoding), source_kind.encode(self._encoding))
        )
        kept = self._names[reason, source_kind] = (f"{sized(reason)}|{sized(source_kind)}", in_row)
        return kept
