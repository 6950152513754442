"""A month of the journal as a file: every transfer booked in it, with the proof that a signed checkpoint covers it.

One JSON object a line. First the month, the checkpoint's note and the public keys; then for each institution its entry in the
checkpoint log, and for each batch its header, its path in the institution's log, the transfers of the month and the leaves
of the batch's others; last how many transfers there are and the digest of every byte before. ``verify.check_archive`` reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, text

from ledger.checkpoints import StoredCheckpoint, batch_leaves, entry_leaves
from ledger.evidence_keys import recorded_keys
from ledger.tree import WholeTree
from reports.evidence.proofs import hexes
from reports.evidence.verify import ARCHIVE, archive_line

_DAY_ZERO = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class WrittenArchive:
    """What was written. ``leaves``: SHA-256 over the transfers' leaves by institution, batch and line."""

    transfers: int
    leaves: bytes
    file_sha256: bytes
    file_bytes: int


def write_archive(conn: Connection, month: date, point: StoredCheckpoint, out: Path) -> WrittenArchive:
    """Write the month as the checkpoint covers it. Raises FileExistsError; a broken run leaves no file."""
    half = out.with_name(f".{out.name}.part")
    if out.exists():
        raise FileExistsError(f"{out} exists already; archives are not written over")
    try:
        with half.open("xb") as stream:
            written = _write(conn, month, point, stream)
        half.rename(out)
    finally:
        half.unlink(missing_ok=True)
    return written


def _write(conn: Connection, month: date, point: StoredCheckpoint, stream: IO[bytes]) -> WrittenArchive:
    digest, leaves, transfers = hashlib.sha256(), hashlib.sha256(), 0

    def write(content: dict[str, Any]) -> None:
        line = archive_line(content)
        digest.update(line)
        stream.write(line)

    write(
        {
            "format": ARCHIVE, "month": f"{month:%Y-%m}", "checkpoint_no": point.checkpoint_no,
            "checkpoint": str(point.whole_note), "keys": [str(one.key) for one in recorded_keys(conn)],
        }
    )  # fmt: skip
    log = WholeTree(entry_leaves(conn, point.tree_size))
    entries = conn.execute(
        text("""
            SELECT institution_id, entry_no, body, log_size FROM checkpoint_entry
            WHERE checkpoint_no = :no AND custody_account_id IS NULL ORDER BY institution_id
        """),
        {"no": point.checkpoint_no},
    ).all()
    for entry in entries:
        batches: WholeTree | None = None
        for batch_id, rows in groupby(
            _transfers(conn, entry.institution_id, entry.log_size, month), key=lambda row: row["batch_id"]
        ):
            if batches is None:
                batches = WholeTree(list(batch_leaves(conn, entry.institution_id, through=entry.log_size)))
                write({"entry": {"entry_no": entry.entry_no, "body": entry.body, "path": hexes(log.inclusion(entry.entry_no))}})
            told = list(rows)
            header = conn.execute(
                text("""
                    SELECT batch_id, transfer_count, total_minor_units, encode(row_digest, 'hex') AS row_digest FROM posting_batch
                    WHERE institution_id = :institution AND batch_id = :batch
                """),
                {"institution": entry.institution_id, "batch": batch_id},
            ).mappings().one()  # fmt: skip
            others = _others(conn, entry.institution_id, batch_id, month) if header["transfer_count"] > len(told) else {}
            write({"batch": dict(header), "path": hexes(batches.inclusion(batch_id - 1)), "others": others})
            for row in told:
                leaves.update(bytes(row["leaf"]))
                transfers += 1
                write({"transfer": _told(row)})
    write({"transfers": transfers, "leaves": leaves.hexdigest()})
    end = archive_line({"sha256": digest.hexdigest()})
    stream.write(end)
    digest.update(end)
    return WrittenArchive(transfers, leaves.digest(), digest.digest(), stream.tell())


def _transfers(conn: Connection, institution_id: int, log_size: int, month: date) -> Iterator[Any]:
    rows = conn.execute(
        text("""
            SELECT * FROM transfer WHERE institution_id = :institution AND batch_id <= :size AND booking_date >= :month
                AND booking_date < (CAST(:month AS date) + interval '1 month')::date ORDER BY batch_id, line
        """).execution_options(stream_results=True, max_row_buffer=5_000),
        {"institution": institution_id, "size": log_size, "month": month},
    )
    yield from rows.mappings()


def _others(conn: Connection, institution_id: int, batch_id: int, month: date) -> dict[str, str]:
    """Leaves of a batch's transfers that are booked in other months, by line."""
    rows = conn.execute(
        text("""
            SELECT line, encode(leaf, 'hex') FROM transfer WHERE institution_id = :institution AND batch_id = :batch
                AND NOT (booking_date >= :month AND booking_date < (CAST(:month AS date) + interval '1 month')::date)
            ORDER BY line
        """),
        {"institution": institution_id, "batch": batch_id, "month": month},
    )
    return {str(line): leaf for line, leaf in rows}


def _told(row: Any) -> dict[str, Any]:
    """A transfer as proofs show it: no leaf, which the reader derives, and the day as leaf v1 counts it."""
    told = {name: value for name, value in row.items() if name not in {"leaf", "booking_date", "batch_id", "institution_id"}}
    told["booking_day"] = (row["booking_date"] - _DAY_ZERO).days
    told["transfer_id"] = str(row["transfer_id"])
    told["reverses"] = str(row["reverses"]) if row["reverses"] else None
    return told
