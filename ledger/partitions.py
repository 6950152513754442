"""Adding the journal's months: each is a partition of ``transfer``, made and guarded by the database (``ledger_add_month``)."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from ledger.months import following, month_of

_LOCK_NOT_AVAILABLE = "55P03"


class MonthsBusy(RuntimeError):
    """Other sessions kept the tables that refer to the journal locked; months that were added before it stay added."""


def add_months(conn: Connection, day: date, ahead: int) -> tuple[date, ...]:
    """Add the month of a business day and as many after it, where they are missing; the first days of those added.

    Safe to repeat and beside posting: who writes open items waits while a month is attached, and attaching waits 5 s for them.
    Raises MonthsBusy when that was not long enough.
    """
    added = []
    for month in (following(month_of(day), number) for number in range(ahead + 1)):
        attempt = conn.begin_nested()
        try:
            if conn.execute(text("SELECT ledger_add_month(:month)"), {"month": month}).scalar_one():
                added.append(month)
        except OperationalError as error:
            attempt.rollback()
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            raise MonthsBusy(
                f"{month:%Y-%m} could not be added to the journal: other sessions have been writing for more than 5 s. "
                "The next run tries again; until then a posting that needs the month adds it"
            ) from error
        attempt.commit()
    return tuple(added)
