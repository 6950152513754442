"""Writing closed months of the journal to files: by the job some days after they were closed, or by a person at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from calendars import business_date
from jobs.settings import JobSettings
from ledger.archive import Archive, ArchiveRefused, archives, closed_since, record_archive, require_archivable
from ledger.checkpoints import StoredCheckpoint, last_checkpoint
from ledger.evidence_keys import recorded_keys
from reports.evidence.archive import write_archive
from reports.evidence.verify import Broken, Key, verify_file
from storage import audit


def archive_month(
    connection: sa.Connection, month: date, point: StoredCheckpoint, out: Path, *, now: datetime, actor: str, role: str
) -> Archive:
    """Write a month to ``out``, prove the file as a stranger would, and record its digest; else no file is left.

    Raises ArchiveRefused, FileExistsError.
    """
    require_archivable(connection, month, point.checkpoint_no)
    written = write_archive(connection, month, point, out)
    try:
        verify_file(str(out), [Key(str(one.key)) for one in recorded_keys(connection)])
        archive = record_archive(
            connection,
            Archive(
                month, 0, point.checkpoint_no, written.transfers, written.leaves, out.name, written.file_sha256,
                written.file_bytes, actor, now,
            ),
        )  # fmt: skip
        audit.record(
            connection,
            now=now,
            actor=actor,
            role=role,
            act="cli:journal:archived",
            object_kind="month",
            object_id=f"{month:%Y-%m}",
            details={"edition": archive.edition, "file": out.name, "sha256": written.file_sha256.hex()},
        )
    except Broken as broken:
        out.unlink()
        raise ArchiveRefused(
            f"the month does not prove itself, so no file was kept: {broken}; run: escrow ledger verify"
        ) from None
    except BaseException:
        out.unlink()
        raise
    return archive


def archive_closed_months(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Mapping[str, Any]:
    """Archive each month closed everywhere for the configured days, unless its newest archive holds all of it.

    A month that was reopened, booked into and closed again gets another edition. What is not signed yet waits for the next run.
    """
    point = last_checkpoint(connection)
    if point is None:
        return {"archived": [], "note": "there is no checkpoint yet"}
    known = archives(connection)
    whole = {one.month: one.later == 0 for one in known}  # by edition: the newest counts
    last_day = as_of - timedelta(days=settings.archive_after_days)
    due = [
        month for month, closed_at in closed_since(connection) if business_date(closed_at) <= last_day and not whole.get(month)
    ]
    made, waiting = [], []
    for month in due:
        try:
            out = _free_name(settings.archive, month, known)
            made.append(archive_month(connection, month, point, out, now=now, actor=settings.actor, role="system").file_name)
        except ArchiveRefused as refused:
            waiting.append(str(refused))
    return {"archived": made, "waiting": waiting, "outstanding": bool(waiting)}


def _free_name(folder: Path, month: date, known: list[Archive]) -> Path:
    """The name of the next edition's file. One lying there that the books do not know is of a run that was undone."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {one.file_name for one in known}
    edition = sum(one.month == month for one in known) + 1
    out = folder / (f"journal-{month:%Y-%m}.jsonl" if edition == 1 else f"journal-{month:%Y-%m}-{edition}.jsonl")
    if out.name not in names:
        out.unlink(missing_ok=True)
    return out
