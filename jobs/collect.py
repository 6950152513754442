"""Receive what lies in the banks' drop folders: each file leaves with its receipt to ``accepted/``, ``refused/`` or ``held/``.

The bytes are committed before the file is moved, so a process killed in between finds the same bytes again, recognises
them, and only finishes the move: nothing is lost, nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from jobs import wording as say
from jobs.directory import account_directory
from jobs.drop_folder import (
    HELD,
    REFUSED,
    Collected,
    FileOutcome,
    beside,
    move_with_receipt,
    passed_over,
    read_beside,
    shown_name,
    waiting_files,
)
from jobs.held_files import follow_decisions
from jobs.receipts import file_outcome, receipt_text, unread_receipt
from jobs.settings import JobSettings
from reconciliation.receiving import receive_statement_file

#: A statement file larger than this is refused unread; banks' daily files are a thousandth of it.
LARGEST_STATEMENT_BYTES = 200_000_000


def collect_statements(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Mapping[str, Any]:  # noqa: ARG001 - a job's shape
    """Receive every waiting file of every bank; each file with its outcome, and what was passed over with the reason.

    Each file is received in a transaction of its own on a second connection: one bad file holds up nobody, and what is
    moved out of the inbox is certain to be stored. Files held back go where people have decided meanwhile.
    """
    for bank_code in settings.banks:
        (settings.inbox / bank_code).mkdir(parents=True, exist_ok=True)  # where to drop files is there to be seen
    done = Collected(passed_over=passed_over(settings.inbox, settings.banks))
    for bank_code in sorted(settings.banks):
        follow_decisions(connection.engine, bank_code, settings, done)
        for path in waiting_files(settings.inbox, bank_code):
            name = f"{bank_code}/{shown_name(path.name)}"
            missing = settings.banks[bank_code].proofs.missing(dict.fromkeys(beside(path), b""))
            if missing:
                done.passed_over.append(say.of_thing(name, say.proof_missing(missing)))
                continue
            done.take(name, partial(_collect_one, connection.engine, path, bank_code, settings, now))
    refused, held = done.count(REFUSED), done.count(HELD)
    return {
        "files_accepted": len(done.files) - refused - held,
        "files_refused": refused,
        "files_held": held,
        "files": done.files,
        "passed_over": [one.en for one in done.passed_over],
        "passed_over_zh": [one.zh for one in done.passed_over],
        "outstanding": bool(refused or held),
    }


def delivered_at(path: Path, now: datetime) -> datetime:
    """When the last of a file and what lies beside it was put there, by the system's own record (ctime), which no sender sets."""
    changed = max(one.stat().st_ctime for one in (path, *beside(path).values()))
    return min(now, datetime.fromtimestamp(changed, UTC))


def _collect_one(engine: sa.Engine, path: Path, bank_code: str, settings: JobSettings, now: datetime) -> FileOutcome:
    size = path.stat().st_size
    if size > LARGEST_STATEMENT_BYTES:
        unread = unread_receipt(shown_name(path.name), size, LARGEST_STATEMENT_BYTES)
        move_with_receipt(path, path.parent / REFUSED, unread)
        return FileOutcome(
            REFUSED,
            [f"{size:,} bytes are more than a statement file may have; ask the bank for one file a day"],
            [f"文件 {size:,} 字节，超过对账单文件上限；请银行按日分文件报送"],
        )
    data = path.read_bytes()
    proofs = read_beside(beside(path))
    with engine.begin() as own:
        receipt = receive_statement_file(
            own,
            data,
            shown_name(path.name),
            sender_bank=bank_code,
            directory=account_directory(own),
            profiles=settings.profiles,
            now=now,
            actor=settings.actor,
            beside=proofs,
            demand=settings.banks[bank_code].proofs,
            delivered_at=delivered_at(path, now),
        )
    move_with_receipt(path, path.parent / receipt.folder, receipt_text(receipt), receipt.sha256)
    return file_outcome(receipt)
