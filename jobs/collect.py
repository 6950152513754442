"""Receive what lies in the banks' drop folders: ``inbox/<BANK>/`` -> ``accepted/`` or ``refused/``, with a receipt beside it.

The bytes are committed before the file is moved, so a process killed in between finds the same bytes again, recognises
them, and only finishes the move: nothing is lost, nothing counts twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from jobs.directory import account_directory
from jobs.outbox import place_file
from jobs.settings import JobSettings
from reconciliation.model import Receipt
from reconciliation.receiving import receive_statement_file

#: A statement file larger than this is refused unread; banks' daily files are a thousandth of it.
LARGEST_STATEMENT_BYTES = 200_000_000

#: Endings of files still being written by the bank's transfer program.
UNFINISHED_ENDINGS = (".part", ".tmp", ".filepart")


def waiting_files(inbox: Path, bank_code: str) -> list[Path]:
    """Files the bank has finished delivering, by name. Links and folders are left alone."""
    folder = inbox / bank_code
    if not folder.is_dir():
        return []
    found = [Path(entry.path) for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
    return sorted(path for path in found if not path.name.startswith(".") and not path.name.endswith(UNFINISHED_ENDINGS))


def receipt_text(receipt: Receipt) -> bytes:
    """What the bank may read of its file's fate: outcome, counts and findings, as JSON."""
    body = {
        "file": receipt.file_name,
        "sha256": receipt.sha256,
        "format": receipt.format,
        "refused": receipt.refused,
        "statements": [
            {"date": str(one.business_date), "outcome": str(one.outcome), "lines": one.line_count, "reasons": list(one.reasons)}
            for one in receipt.statements
        ],
        "findings": [
            {
                "severity": str(f.severity),
                "code": f.code,
                "line": f.line,
                "field": f.field,
                "message": f.message,
                "message_zh": f.message_zh,
            }
            for f in receipt.findings
        ],
    }
    return (json.dumps(body, ensure_ascii=False, indent=2) + "\n").encode()


def collect_statements(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Mapping[str, Any]:  # noqa: ARG001 - a job's shape
    """Receive every waiting file of every bank; counts of accepted and refused files.

    Each file is received in a transaction of its own on a second connection: one bad file holds up nobody, and what is
    moved out of the inbox is certain to be stored.
    """
    counts = {"files_accepted": 0, "files_refused": 0}
    for bank_code in sorted(settings.banks):
        for path in waiting_files(settings.inbox, bank_code):
            refused = _collect_one(connection.engine, path, bank_code, settings, now)
            counts["files_refused" if refused else "files_accepted"] += 1
    return counts


def _collect_one(engine: sa.Engine, path: Path, bank_code: str, settings: JobSettings, now: datetime) -> bool:
    size = path.stat().st_size
    if size > LARGEST_STATEMENT_BYTES:
        _move(
            path,
            "refused",
            f"refused: {size} bytes are more than the {LARGEST_STATEMENT_BYTES} a statement file may have\n".encode(),
        )
        return True
    data = path.read_bytes()
    with engine.begin() as own:
        receipt = receive_statement_file(
            own,
            data,
            path.name,
            sender_bank=bank_code,
            directory=account_directory(own),
            profiles=settings.profiles,
            now=now,
            actor=settings.actor,
        )
    _move(path, "refused" if receipt.refused else "accepted", receipt_text(receipt), receipt.sha256)
    return receipt.refused


def _move(path: Path, where: str, receipt: bytes, digest: str = "") -> None:
    """Put the receipt beside where the file goes, then move the file. A name taken by another file gets its digest added."""
    folder = path.parent / where
    folder.mkdir(exist_ok=True)
    name = path.name
    if (folder / name).exists():
        name = f"{path.stem}.{digest[:12] or path.stat().st_mtime_ns}{path.suffix}"
    (folder / f"{name}.receipt.json").unlink(missing_ok=True)
    place_file(folder, f"{name}.receipt.json", receipt)
    path.rename(folder / name)
