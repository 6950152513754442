"""Archived months: which months may be archived, what was archived, and whether the books still hold it.

An archived month stays in the journal. Open items, clearings, corrections and resolutions refer to its transfers for ever, so the
database refuses to take them out; the archive is a second copy outside, each of whose transfers is proved by a signed checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive of a month: the file and what it holds. ``later``: transfers booked in the month since (it was reopened)."""

    month: date
    edition: int
    checkpoint_no: int
    transfer_count: int
    leaves: bytes
    file_name: str
    file_sha256: bytes
    file_bytes: int
    actor: str
    made_at: datetime
    later: int = 0


class ArchiveRefused(ValueError):
    """A month cannot be archived now; the message says why and what to do."""


def require_archivable(conn: Connection, month: date, checkpoint_no: int) -> None:
    """Raise ArchiveRefused unless the month is closed at every institution that booked in it, and wholly under the checkpoint."""
    rows = conn.execute(_STANDING, {"month": month, "no": checkpoint_no}).all()
    if not rows:
        raise ArchiveRefused(f"nothing is booked in {month:%Y-%m}; escrow ledger journal shows what is booked when")
    still_open = [str(row.institution_id) for row in rows if not row.closed]
    if still_open:
        raise ArchiveRefused(
            f"{month:%Y-%m} is not closed at institution {', '.join(still_open[:10])}; first: escrow ledger close-period MONTH"
        )
    unsigned = [str(row.institution_id) for row in rows if row.last_batch_id > row.log_size]
    if unsigned:
        raise ArchiveRefused(
            f"{month:%Y-%m} has transfers at institution {', '.join(unsigned[:10])} that no checkpoint covers yet; the end of "
            "the day signs them: escrow run-day DATE"
        )


def closed_since(conn: Connection) -> list[tuple[date, datetime]]:
    """Months that are closed at every institution that booked in them, and when the last of those was closed; by month."""
    return [(row.month, row.closed_at) for row in conn.execute(_CLOSED)]


def record_archive(conn: Connection, archive: Archive) -> Archive:
    """Record that a file holds a month, after it was proved; the edition is filled in. Raises ArchiveRefused."""
    try:
        with conn.begin_nested():
            edition = conn.execute(_INSERT, {name: getattr(archive, name) for name in _GIVEN}).scalar_one()
    except IntegrityError as error:
        said = getattr(getattr(error.orig, "diag", None), "message_primary", None) or str(error.orig)
        raise ArchiveRefused(f"{said.split(': ', 1)[-1]}; archive the month again") from error
    return Archive(**{**{name: getattr(archive, name) for name in _GIVEN}, "edition": edition})


def archives(conn: Connection) -> list[Archive]:
    """Every archive by month and edition."""
    return [
        Archive(row[0], row[1], row[2], row[3], bytes(row[4]), row[5], bytes(row[6]), *row[7:]) for row in conn.execute(_ARCHIVES)
    ]


_GIVEN = (
    "month", "checkpoint_no", "transfer_count", "leaves", "file_name", "file_sha256", "file_bytes", "actor", "made_at",
)  # fmt: skip
_INSERT = text(
    f"INSERT INTO journal_archive (edition, {', '.join(_GIVEN)}) VALUES (1, {', '.join(':' + name for name in _GIVEN)}) "
    "RETURNING edition"
)
_IN_MONTH = "t.booking_date >= {0} AND t.booking_date < ({0} + interval '1 month')::date"
_STANDING = text(f"""
    SELECT t.institution_id, max(t.batch_id) AS last_batch_id, coalesce(max(e.log_size), 0) AS log_size,
        bool_or(p.month IS NOT NULL) AS closed
    FROM transfer t
    LEFT JOIN closed_period p ON p.institution_id = t.institution_id AND p.month = :month
    LEFT JOIN checkpoint_entry e ON e.institution_id = t.institution_id AND e.checkpoint_no = :no AND e.custody_account_id IS NULL
    WHERE {_IN_MONTH.format("CAST(:month AS date)")}
    GROUP BY t.institution_id ORDER BY t.institution_id
""")
_CLOSED = text("""
    WITH closed AS (
        SELECT p.institution_id, p.month, (
            SELECT max(e.event_at) FROM period_event e
            WHERE e.institution_id = p.institution_id AND e.month = p.month AND e.event = 'closed') AS closed_at
        FROM closed_period p
    )
    SELECT month, max(closed_at) AS closed_at FROM closed WHERE EXISTS (
        SELECT FROM transfer t WHERE t.booking_date >= month AND t.booking_date < (month + interval '1 month')::date)
    GROUP BY month HAVING NOT EXISTS (
        SELECT FROM transfer t
        WHERE t.booking_date >= closed.month AND t.booking_date < (closed.month + interval '1 month')::date
            AND t.institution_id NOT IN (SELECT p.institution_id FROM closed_period p WHERE p.month = closed.month))
    ORDER BY month
""")
_ARCHIVES = text(f"""
    SELECT a.month, a.edition, a.checkpoint_no, a.transfer_count, a.leaves, a.file_name, a.file_sha256, a.file_bytes, a.actor,
        a.made_at, (
            SELECT count(*) FROM transfer t LEFT JOIN checkpoint_entry e ON e.institution_id = t.institution_id
                AND e.checkpoint_no = a.checkpoint_no AND e.custody_account_id IS NULL
            WHERE {_IN_MONTH.format("a.month")} AND t.batch_id > coalesce(e.log_size, 0)) AS later
    FROM journal_archive a ORDER BY a.month, a.edition
""")

#: What ``verify`` asks of archives: name, table, query of wrong rows, rows counted.
ARCHIVE_QUESTION = (
    "every archived month holds what its archive says",
    "journal_archive",
    """
    SELECT format('month %s, edition %s', to_char(a.month, 'YYYY-MM'), a.edition) AS row,
        format('its archive %s holds %s transfers (leaves %s), the books %s (%s) under checkpoint %s', a.file_name,
            a.transfer_count, left(encode(a.leaves, 'hex'), 16), m.transfer_count, left(encode(m.leaves, 'hex'), 16),
            a.checkpoint_no) AS what
    FROM journal_archive a CROSS JOIN LATERAL archived_month(a.month, a.checkpoint_no) AS m
    WHERE m.transfer_count <> a.transfer_count OR m.leaves <> a.leaves
    """,
    "journal_archive",
)
