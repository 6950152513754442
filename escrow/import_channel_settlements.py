"""Take payment channels' settlement files: which orders arrive together as one bank line, and what the channel keeps back."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from escrow.import_layouts import CHANNEL_SETTLEMENTS, ReadRow, content_digest, read_file
from escrow.import_report import ImportReport, Progress, Verdicts
from escrow.staging import copy_rows, stage, take_turn
from money import format_minor_units

_FACTS = """
    SELECT s.line, i.institution_id, a.custody_account_id, p.order_id IS NOT NULL AS order_known,
        p.custody_account_id AS order_account_id, p.amount_minor_units, o.channel, o.channel_reference,
        known.content_digest, b.content_digest AS batch_digest
    FROM staged_settlement s
    LEFT JOIN institution i ON i.institution_code = s.institution_code
    LEFT JOIN custody_account a ON a.institution_id = i.institution_id AND a.account_number = s.account_number
    LEFT JOIN prepayment p ON p.institution_id = i.institution_id AND p.order_id = s.order_id
    LEFT JOIN orders o ON o.institution_id = p.institution_id AND o.order_id = p.order_id
    LEFT JOIN channel_settlement_item known ON known.institution_id = i.institution_id AND known.order_id = s.order_id
        AND known.channel_reference = s.channel_reference
    LEFT JOIN channel_settlement b ON b.institution_id = i.institution_id AND b.custody_account_id = a.custody_account_id
        AND b.channel = s.channel AND b.settlement_batch = s.settlement_batch
"""
_BATCH_COLUMNS = (
    "institution_id", "custody_account_id", "channel", "settlement_batch", "settled_on", "gross_minor_units",
    "fee_minor_units", "net_minor_units", "item_count", "content_digest", "source_file_sha256", "source_line",
)  # fmt: skip
_ITEM_COLUMNS = (
    "institution_id", "order_id", "custody_account_id", "channel", "settlement_batch", "channel_reference",
    "gross_minor_units", "fee_minor_units", "net_minor_units", "content_digest", "source_file_sha256", "source_line",
)  # fmt: skip

#: (institution_id, custody_account_id, channel, settlement_batch): what arrives as one bank line.
_BatchKey = tuple[int, int, str, str]


@dataclass(slots=True)
class _Batch:
    """All readable rows of one batch of this file, whether their orders are known or not: the bank line is their sum."""

    known_digest: bytes | None
    rows: list[ReadRow] = field(default_factory=list)

    @property
    def digest(self) -> bytes:
        return content_digest(sorted(row.digest.hex() for row in self.rows))

    def total(self, column: str) -> int:
        return sum(row.values[column] for row in self.rows)


def import_channel_settlements(
    conn: Connection,
    data: bytes,
    name: str,
    *,
    channels: Container[str],
    now: datetime,
    actor: str,
    role: str = "system",
    progress: Progress | None = None,
) -> ImportReport:
    """Import a channel's settlement file.

    A batch counts with all its rows, also those refused because their order is unknown or different: the bank pays the
    whole. A batch given again with other rows is refused by name.
    """
    take_turn(conn)
    reading = read_file(data, CHANNEL_SETTLEMENTS, progress)
    verdicts = Verdicts(reading, CHANNEL_SETTLEMENTS)
    columns = ("institution_code", "account_number", "order_id", "channel_reference", "channel", "settlement_batch")
    stage(
        conn,
        "staged_settlement",
        {"line": "integer"} | dict.fromkeys(columns, "text"),
        ((row.line, *(row.values[one] for one in columns)) for row in reading.rows),
    )
    known: dict[int, Any] = {found.line: found for found in conn.execute(text(_FACTS))}
    batches: dict[_BatchKey, _Batch] = {}
    members: list[tuple[_BatchKey, ReadRow]] = []
    for row in reading.rows:
        found, values = known[row.line], row.values
        if fault := _misplaced(row, found, channels):
            verdicts.refuse(row, *fault)
            continue
        key = (found.institution_id, found.custody_account_id, values["channel"], values["settlement_batch"])
        batches.setdefault(key, _Batch(found.batch_digest)).rows.append(row)
        members.append((key, row))
    contradicting = {key for key, batch in batches.items() if batch.known_digest not in (None, batch.digest)}
    torn = {key for key, batch in batches.items() if len({row.values["settled_on"] for row in batch.rows}) > 1}
    accepted = []
    for key, row in members:
        found = known[row.line]
        if found.content_digest is not None:
            verdicts.known_before(row, found.content_digest)
        elif key in contradicting:
            reason = f"batch {key[3]} was taken before with other rows; the first stays, ask the channel which is right"
            verdicts.refuse(row, "settlement_batch", "batch_other_content", reason)
        elif key in torn:
            verdicts.refuse(row, "settled_on", "batch_of_two_days", f"the rows of batch {key[3]} name different days")
        elif fault := _differs(row, found):
            verdicts.refuse(row, *fault)
        else:
            accepted.append((key, row))
            verdicts.accepted.append(row)
    _write(conn, {key: one for key, one in batches.items() if key not in contradicting | torn}, accepted, reading.sha256)
    return verdicts.record(conn, data, name, now=now, actor=actor, role=role)


def _misplaced(row: ReadRow, found: Any, channels: Container[str]) -> tuple[str, str, str] | None:
    """Why the row belongs to no batch at all."""
    values = row.values
    if found.institution_id is None:
        code = values["institution_code"]
        return "institution_code", "unknown_institution", f"no institution {code}; import institutions first"
    if found.custody_account_id is None:
        return (
            "account_number",
            "unknown_account",
            f"account {values['account_number']} is not filed for this institution; import institutions first",
        )
    if values["channel"] not in channels:
        return "channel", "unknown_channel", f"{values['channel']} is not in config/channels.yaml; correct it, or add it there"
    if values["net"] != values["gross"] - values["fee"]:
        return "net", "net_differs", "net is not gross less fee"
    return None


def _differs(row: ReadRow, found: Any) -> tuple[str, str, str] | None:
    """Why the row does not tell about the order we know."""
    values = row.values
    if not found.order_known:
        return "order_id", "unknown_order", f"no order {values['order_id']} of this institution; import its order first"
    if found.order_account_id != found.custody_account_id:
        return "account_number", "other_account", "the order's money belongs in another account of the institution"
    if found.channel != values["channel"]:
        return "channel", "other_channel", f"the order was paid by {found.channel}"
    if found.channel_reference != values["channel_reference"]:
        return "channel_reference", "other_payment", f"the order was paid by {found.channel_reference}: this is another payment"
    if found.amount_minor_units != values["gross"]:
        return "gross", "other_amount", f"the order was paid with {format_minor_units(found.amount_minor_units)}"
    return None


def _write(conn: Connection, batches: dict[_BatchKey, _Batch], accepted: list[tuple[_BatchKey, ReadRow]], sha256: bytes) -> None:
    fresh = {key: batch for key, batch in batches.items() if batch.known_digest is None}
    copy_rows(
        conn,
        "channel_settlement",
        _BATCH_COLUMNS,
        (
            (
                *key, batch.rows[0].values["settled_on"], batch.total("gross"), batch.total("fee"), batch.total("net"),
                len(batch.rows), batch.digest, sha256, min(row.line for row in batch.rows),
            )
            for key, batch in fresh.items()
        ),
    )  # fmt: skip
    copy_rows(
        conn,
        "channel_settlement_item",
        _ITEM_COLUMNS,
        (
            (
                key[0], row.values["order_id"], key[1], key[2], key[3], row.values["channel_reference"], row.values["gross"],
                row.values["fee"], row.values["net"], row.digest, sha256, row.line,
            )
            for key, row in accepted
        ),
    )  # fmt: skip
