"""Take opening balances: what a custody account held before its first statement, so that supervision can begin with it.

The money is nobody's by name yet: it is owed in full as unidentified receipts until it is traced to orders, so coverage
counts it from the first day. The figure is claimed here and proven by the bank: the account's first statement counts
only when it opens with exactly what the books hold. Until then a corrected row replaces an earlier one by reversal; after
that every difference is a discrepancy, which two people resolve.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from calendars import business_date
from escrow.import_layouts import OPENING_BALANCES, ReadRow, read_file
from escrow.import_report import ImportReport, Progress, Verdicts
from escrow.staging import copy_rows, stage, take_turn
from ledger.accounts import account_ids
from ledger.model import Transfer, transfer_id
from ledger.store import post, reverse
from money import Money

SOURCE_KIND = "opening_balance"
#: No policy decides an opening balance; the batch names this rule instead.
RULE_VERSION = "opening-balance/1"

_FACTS = """
    SELECT s.line, i.institution_id, a.custody_account_id, a.currency, a.opened_on,
        b.version, b.content_digest, b.as_of, b.transfer_id,
        EXISTS (
            SELECT FROM transfer t
            JOIN account c ON c.institution_id = t.institution_id AND c.account_id IN (t.debit_account_id, t.credit_account_id)
            WHERE c.custody_account_id = a.custody_account_id AND c.kind = 'custody_cash'
                AND NOT EXISTS (
                    SELECT FROM opening_balance o
                    WHERE o.institution_id = t.institution_id AND o.transfer_id IN (t.transfer_id, t.reverses))
        ) AS cash_moved
    FROM staged_opening s
    LEFT JOIN institution i ON i.institution_code = s.institution_code
    LEFT JOIN custody_account a ON a.institution_id = i.institution_id AND a.account_number = s.account_number
    LEFT JOIN LATERAL (
        SELECT * FROM opening_balance o
        WHERE o.institution_id = a.institution_id AND o.custody_account_id = a.custody_account_id
        ORDER BY o.version DESC LIMIT 1
    ) b ON true
"""
_COLUMNS = (
    "institution_id", "custody_account_id", "version", "as_of", "amount_minor_units", "reason", "transfer_id", "content_digest",
    "source_file_sha256", "source_line",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Opening:
    """An accepted row with what the database knows of its account."""

    row: ReadRow
    known: Any

    @property
    def version(self) -> int:
        return (self.known.version or 0) + 1

    @property
    def name(self) -> str:
        return f"{self.known.custody_account_id}/{self.version}"

    @property
    def transfer_id(self) -> UUID:
        return transfer_id(self.known.institution_id, self.row.values["as_of"], SOURCE_KIND, self.name)


def import_opening_balances(
    conn: Connection,
    data: bytes,
    name: str,
    *,
    proven: Collection[int],
    now: datetime,
    actor: str,
    role: str = "system",
    progress: Progress | None = None,
) -> ImportReport:
    """Import a file of opening balances, one row an account, and post each: custody cash / unidentified receipts.

    ``proven``: numbers of the custody accounts of which a statement counts already; their opening is settled. Raises
    PostingRefused when the books refuse (nothing is taken then).
    """
    take_turn(conn)
    reading = read_file(data, OPENING_BALANCES, progress)
    verdicts = Verdicts(reading, OPENING_BALANCES)
    stage(
        conn,
        "staged_opening",
        {"line": "integer", "institution_code": "text", "account_number": "text"},
        ((row.line, *row.key) for row in reading.rows),
    )
    known: dict[int, Any] = {found.line: found for found in conn.execute(text(_FACTS))}
    accepted = []
    for row in reading.rows:
        found = known[row.line]
        if found.content_digest == row.digest:
            verdicts.repeated += 1
            continue
        faults = _faults(row, found, proven)
        if not faults and row.values["as_of"] > business_date(now):
            faults.append(("as_of", "in_the_future", f"{row.values['as_of']} has not come yet; give the first day supervised"))
        for fault in faults:
            verdicts.refuse(row, *fault)
        if not faults:
            accepted.append(_Opening(row, found))
            verdicts.accepted.append(row)
    _write(conn, accepted, reading.sha256, now=now, actor=actor)
    return verdicts.record(conn, data, name, now=now, actor=actor, role=role)


def _faults(row: ReadRow, known: Any, proven: Collection[int]) -> list[tuple[str, str, str]]:
    values = row.values
    if known.institution_id is None:
        code = values["institution_code"]
        return [("institution_code", "unknown_institution", f"no institution {code}; import institutions first")]
    if known.custody_account_id is None:
        reason = f"account {values['account_number']} is not filed for this institution; import institutions first"
        return [("account_number", "unknown_account", reason)]
    faults = []
    if values["currency"] != known.currency:
        faults.append(("currency", "currency", f"the account is kept in {known.currency}, not {values['currency']}"))
    if values["as_of"] < known.opened_on:
        reason = f"the account was opened on {known.opened_on}; give that day or the first one supervised"
        faults.append(("as_of", "account_not_open", reason))
    if known.custody_account_id in proven or known.cash_moved:
        reason = (
            "the account's money is proven by statements already; a difference is a discrepancy that two people resolve "
            "(escrow discrepancy list --open)"
        )
        faults.append(("account_number", "opening_proven", reason))
    return faults


def _write(conn: Connection, accepted: list[_Opening], sha256: bytes, *, now: datetime, actor: str) -> None:
    transfers = []
    for one in accepted:
        known, values = one.known, one.row.values
        if known.transfer_id is not None:
            reverse(
                conn, known.institution_id, [known.transfer_id], now=now, booking_date=known.as_of, actor=actor,
                reason="opening balance corrected", rule_version=RULE_VERSION,
            )  # fmt: skip
        accounts = account_ids(conn, institution_id=known.institution_id, custody_account_id=known.custody_account_id)
        transfers.append(
            Transfer(
                transfer_id=one.transfer_id,
                institution_id=known.institution_id,
                debit_account_id=accounts["custody_cash", ""],
                credit_account_id=accounts["unidentified_receipts", ""],
                amount=Money(values["amount"], known.currency),
                booking_date=values["as_of"],
                reason="opening_balance",
                source_kind=SOURCE_KIND,
                source_ref=one.name,
            )
        )
    post(conn, transfers, now=now, actor=actor, reason="opening balances imported", rule_version=RULE_VERSION)
    copy_rows(
        conn,
        "opening_balance",
        _COLUMNS,
        (
            (
                one.known.institution_id, one.known.custody_account_id, one.version, one.row.values["as_of"],
                one.row.values["amount"], one.row.values["reason"], one.transfer_id, one.row.digest, sha256, one.row.line,
            )
            for one in accepted
        ),
    )  # fmt: skip
