"""Closing months, reopening them by two people, what was first reported, and keeping balances for later questions.

A month is closed per institution. From then on the database refuses every transfer booked in it; a mistake is put right by
entries in an open month that say what they reverse or correct. The trial balance a month was closed with is kept as evidence,
so what was first reported stands beside what is right today.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from calendars import BUSINESS_TIME_ZONE
from wording import Refused, Said


@dataclass(frozen=True, slots=True)
class PeriodEvent:
    """One step in a month's life: ``closed``, ``reopen_prepared`` or ``reopened``. ``month`` is its first day.

    ``last_batch_id`` is the institution's newest batch then; ``recorded_at`` the database's instant, ``event_at`` the caller's.
    """

    institution_id: int
    month: date
    event_no: int
    event: str
    actor: str
    prepared_by: str | None
    reason: str
    event_at: datetime
    last_batch_id: int
    recorded_at: datetime


class PeriodRefused(Refused):
    """A month cannot be closed or reopened as asked; the message says why and what to do."""


def close_period(conn: Connection, institution_id: int, month: date, *, now: datetime, actor: str, reason: str) -> PeriodEvent:
    """Close the month that ``month`` lies in; its trial balance is kept. Closing also withdraws a prepared reopening.

    Raises PeriodRefused when the month is closed, is not over on the business day of ``now``, or the institution has no books.
    """
    first = month.replace(day=1)
    if now.astimezone(BUSINESS_TIME_ZONE).date() <= month_end(first):
        raise PeriodRefused(
            Said(
                f"{first:%Y-%m} is not over; close it after {month_end(first)}",
                f"{first:%Y-%m} 尚未结束；请在 {month_end(first)} 之后结账",
            )
        )
    return _add(conn, institution_id, first, "closed", now=now, actor=actor, reason=reason)


def prepare_reopening(
    conn: Connection, institution_id: int, month: date, *, now: datetime, actor: str, reason: str
) -> PeriodEvent:
    """Propose to reopen a closed month; it stays closed until another person approves. Raises PeriodRefused."""
    return _add(conn, institution_id, month.replace(day=1), "reopen_prepared", now=now, actor=actor, reason=reason)


def reopen_period(conn: Connection, institution_id: int, month: date, *, now: datetime, actor: str, reason: str) -> PeriodEvent:
    """Approve a prepared reopening as a second person. Raises PeriodRefused."""
    first = month.replace(day=1)
    events = period_events(conn, institution_id=institution_id, month=first)
    if not events or events[-1].event != "reopen_prepared":
        raise PeriodRefused(
            Said(
                f"nobody has prepared the reopening of {first:%Y-%m}; one person prepares it, another approves",
                f"尚无人申请重新打开 {first:%Y-%m}；须一人申请、另一人复核",
            )
        )
    preparer = events[-1].actor
    if preparer == actor:
        raise PeriodRefused(
            Said(
                f"{actor} prepared the reopening of {first:%Y-%m}; another person must approve it",
                f"{actor} 是重新打开 {first:%Y-%m} 的申请人；须由另一人复核",
            )
        )
    return _add(conn, institution_id, first, "reopened", now=now, actor=actor, reason=reason, prepared_by=preparer)


def period_events(conn: Connection, *, institution_id: int | None = None, month: date | None = None) -> list[PeriodEvent]:
    """Closings and reopenings by institution, month and order."""
    rows = conn.execute(_EVENTS, {"institution": institution_id, "month": month and month.replace(day=1)})
    return [PeriodEvent(*row) for row in rows]


def closed_months(conn: Connection, institution_id: int) -> list[date]:
    """First days of the institution's closed months, in order."""
    found = conn.execute(
        text("SELECT month FROM closed_period WHERE institution_id = :institution ORDER BY month"),
        {"institution": institution_id},
    )
    return list(found.scalars())


def keep_balances(conn: Connection) -> int:
    """Keep all balances as they are after the newest batches, as a start for later questions what was known today.

    For a nightly job; safe to repeat: an institution without a new batch keeps nothing. Returns how many institutions did.
    """
    kept = conn.execute(
        text("""
            INSERT INTO balance_snapshot_taken (institution_id, batch_id)
            SELECT institution_id, last_batch_id FROM (
                SELECT institution_id, last_batch_id FROM journal_head
                WHERE last_batch_id > 0 ORDER BY institution_id FOR UPDATE) AS head
            WHERE NOT EXISTS (
                SELECT FROM balance_snapshot_taken t
                WHERE t.institution_id = head.institution_id AND t.batch_id = head.last_batch_id)
        """)
    )
    return kept.rowcount


def month_end(month: date) -> date:
    """The last day of the month that starts (or contains) ``month``."""
    return month.replace(day=monthrange(month.year, month.month)[1])


def _add(
    conn: Connection,
    institution_id: int,
    month: date,
    event: str,
    *,
    now: datetime,
    actor: str,
    reason: str,
    prepared_by: str | None = None,
) -> PeriodEvent:
    with _named_refusal(conn):
        row = conn.execute(
            _INSERT,
            {
                "institution": institution_id,
                "month": month,
                "event": event,
                "actor": actor,
                "prepared_by": prepared_by,
                "reason": reason,
                "event_at": now,
            },
        ).one()
    return PeriodEvent(*row)


@contextmanager
def _named_refusal(conn: Connection) -> Iterator[None]:
    """The database's refusal in words; the caller's transaction can go on."""
    try:
        with conn.begin_nested():
            yield
    except IntegrityError as error:
        diagnosis = getattr(error.orig, "diag", None)
        said = getattr(diagnosis, "message_primary", None) or str(error.orig)
        in_chinese = _REFUSED_ZH.get(getattr(diagnosis, "constraint_name", None) or "", "账期操作被数据库拒绝")
        english = said.split(": ", 1)[-1]
        raise PeriodRefused(Said(english, f"{in_chinese}（{english}）")) from error


#: What the guard of periods refuses, by the name it gives the rule (trigger ``ledger_guard_period``).
_REFUSED_ZH = {
    "ledger_period_closed": "该月已结账",
    "ledger_period_not_closed": "该月未结账，或已申请重新打开",
    "ledger_reopening_not_prepared": "尚无人申请重新打开该月",
    "ledger_unknown_account": "该机构没有账户",
}


_COLUMNS = "institution_id, month, event_no, event, actor, prepared_by, reason, event_at, last_batch_id, recorded_at"
_EVENTS = text(f"""
    SELECT {_COLUMNS} FROM period_event
    WHERE (CAST(:institution AS integer) IS NULL OR institution_id = :institution)
        AND (CAST(:month AS date) IS NULL OR month = :month)
    ORDER BY institution_id, month, event_no
""")
# event_no and last_batch_id are the trigger's to fill in.
_INSERT = text(f"""
    INSERT INTO period_event (institution_id, month, event, actor, prepared_by, reason, event_at)
    VALUES (:institution, :month, :event, :actor, :prepared_by, :reason, :event_at) RETURNING {_COLUMNS}
""")
