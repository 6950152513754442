"""What several commands take: a business day, and an account by its number."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconciliation.model import CustodyAccountRef


def business_day(connection: Connection, given: date | None, known_at: datetime | None = None) -> date:
    """The day given, or the newest one reconciled (by an instant). Raises LookupError when nothing was reconciled yet."""
    from sqlalchemy import text

    if given is not None:
        return given.date() if isinstance(given, datetime) else given
    newest: date | None = connection.execute(
        text(
            "SELECT max(business_date) FROM reconciliation_run "
            "WHERE CAST(:known_at AS timestamptz) IS NULL OR recorded_at <= :known_at"
        ),
        {"known_at": known_at},
    ).scalar_one()
    if newest is None and known_at is not None:
        raise LookupError(
            f"no day had been reconciled by {known_at.isoformat()}; give a later --known-at, or name a day: --as-of"
        )
    if newest is None:
        raise LookupError("no day has been reconciled yet; name one with a date option, or run: escrow run-day DATE")
    return newest


def chosen_accounts(connection: Connection, number: str | None) -> list[CustodyAccountRef]:
    """All custody accounts, or the one of that number (spaces ignored). Raises LookupError."""
    from reports.coverage import custody_account_refs

    everyone = custody_account_refs(connection)
    if number is None:
        return everyone
    plain = number.replace(" ", "")
    found = [ref for ref in everyone if plain in (ref.account_number, str(ref.custody_account_id))]
    if not found:
        raise LookupError(f"no custody account {number}; escrow ledger coverage lists all accounts")
    return found
