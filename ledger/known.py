"""Reading what the books hold of what a call touches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from psycopg import Cursor
from sqlalchemy import Connection, text

from ledger.model import OpenItem, PendingTransfer, PostingCall, Transfer
from ledger.months import by_month, in_calendar
from ledger.state import UNBOUNDED, AccountState, KnownBooks, TransferKey
from money import Money

LOCK_HEADS = text("""
    SELECT institution_id, last_batch_id FROM journal_head WHERE institution_id = ANY(:institutions)
    ORDER BY institution_id FOR UPDATE
""")

_ACCOUNT_COLUMNS = f"""a.institution_id, a.account_id, concat_ws(':', a.custody_account_id, a.kind, nullif(a.subject, '')),
    a.custody_account_id, a.currency, a.in_transit, a.opened_on, c.closed_on,
    CASE a.normal_side WHEN 'DEBIT' THEN coalesce(a.floor_minor_units + b.pending_credits_minor_units, -{UNBOUNDED})
        ELSE -{UNBOUNDED} END,
    CASE a.normal_side WHEN 'CREDIT' THEN coalesce(-a.floor_minor_units - b.pending_debits_minor_units, {UNBOUNDED})
        ELSE {UNBOUNDED} END,
    b.last_seq, b.balance_minor_units,
    CASE a.normal_side WHEN 'DEBIT' THEN b.pending_credits_minor_units ELSE b.pending_debits_minor_units END"""

_JOINED_TO_ACCOUNT = """JOIN account_balance b ON b.institution_id = a.institution_id AND b.account_id = a.account_id
    LEFT JOIN account_closing c ON c.institution_id = a.institution_id AND c.account_id = a.account_id"""

_ACCOUNTS = f"""
    SELECT {_ACCOUNT_COLUMNS}
    FROM unnest(%s::integer[], %s::bigint[]) AS w(institution_id, account_id)
    JOIN account a ON a.institution_id = w.institution_id AND a.account_id = w.account_id
    {_JOINED_TO_ACCOUNT}
"""

#: The planner foresees how many rows this gives, which it cannot of pairs: 50,000 accounts take a third of the time.
_ACCOUNTS_OF_ONE = f"""
    SELECT {_ACCOUNT_COLUMNS} FROM account a {_JOINED_TO_ACCOUNT}
    WHERE a.institution_id = %s::integer AND a.account_id = ANY (%s::bigint[])
"""

TRANSFER_COLUMNS = """t.transfer_id, t.institution_id, t.debit_account_id, t.credit_account_id, t.amount_minor_units, t.currency,
    t.booking_date, t.reason, t.source_kind, t.source_ref, t.reverses"""

ITEM_COLUMNS = """i.item_id, i.institution_id, i.custody_account_id, i.account_id, i.kind, i.direction, i.amount_minor_units,
    i.currency, i.booking_date, i.due_date, i.item_references, i.group_key, i.expected_fee_minor_units, i.counterparty_name,
    i.counterparty_account, i.original_item_id"""

#: Up to so many keys, a plan that was made for other keys will do.
_FEW = 200

#: How many of a call's transfers are looked for when it is presumed to be new.
_SAMPLE = 100

WANTED = "unnest(%s::integer[], %s::uuid[]) AS w(institution_id, id)"

_REVERSALS = f"""
    SELECT r.institution_id, r.original_id, r.reversal_id FROM {WANTED}
    JOIN reversal r ON r.institution_id = w.institution_id AND r.original_id = w.id
"""


def transfer_of(row: Sequence[Any]) -> Transfer:
    """A row of TRANSFER_COLUMNS as the noun."""
    return Transfer(row[0], row[1], row[2], row[3], Money(row[4], row[5]), *row[6:11])


def open_item_of(row: Sequence[Any]) -> OpenItem:
    """A row of ITEM_COLUMNS as the noun."""
    fields: tuple[Any, ...] = (*row[:6], Money(row[6], row[7]), row[8], row[9], tuple(row[10]), *row[11:16])
    return OpenItem(*fields)


def driver_cursor(conn: Connection) -> Any:
    """A driver cursor in the caller's transaction. Before writing through it SQLAlchemy must have executed something (``post``
    locks the heads): it commits only a transaction it knows has begun.
    """
    driver = conn.connection.driver_connection
    assert driver is not None  # noqa: S101  a connection that has just answered has a driver connection
    return driver.cursor()


def known_books(
    cursor: Cursor[Any],
    calls: Sequence[PostingCall],
    *,
    presumed_new: bool = False,
    meanwhile: Callable[[], object] | None = None,
) -> KnownBooks:
    """What the books hold of everything the calls touch. The heads of their institutions must be locked.

    ``presumed_new``: only a few of the calls' own transfers are looked for; ``transfers_in_books`` answers for others later.
    ``meanwhile`` is done while the server looks.
    """
    transfers = [t for call in calls for t in call.transfers] if len(calls) != 1 else calls[0].transfers
    own = transfers[:: len(transfers) // _SAMPLE + 1] if presumed_new else transfers
    keys = [(t.institution_id, t.transfer_id) for t in own]
    reversed_ids = [(t.institution_id, t.reverses) for t in transfers if t.reverses is not None]
    corrected = [(c.institution_id, c.corrects) for call in calls for c in call.corrections]
    item_keys = [(c.institution_id, c.item_id) for call in calls for c in call.clearings]
    pending_keys = [(r.institution_id, r.pending_id) for call in calls for r in call.resolutions]
    with cursor.connection.cursor() as of_months:
        with cursor.connection.pipeline():  # the server answers the first question while we prepare the next one
            asked = _ask_transfers(cursor, keys + reversed_ids + corrected)
            _ask_months(of_months, transfers)
            _ask_accounts(cursor, transfers)
            if meanwhile is not None:
                meanwhile()
        posted = _transfers(asked)
        known = KnownBooks(accounts={row[:2]: AccountState(*row[2:]) for row in cursor.fetchall()}, posted=posted)
        known.closed_months, known.missing_months = _months(of_months.fetchall())
    if reversed_ids:
        known.reversed_by = {(row[0], row[1]): row[2] for row in rows_of(cursor, _REVERSALS, reversed_ids)}
    if item_keys or posted:
        known.items = items_in_books(cursor, item_keys + list(posted))
        known.cleared = clearings_of(cursor, item_keys)
    if pending_keys:
        known.pending = pending_in_books(cursor, pending_keys)
        known.resolved = resolutions_of(cursor, pending_keys)
    if corrected:
        known.corrects = {
            (row[0], row[1]): row[2]
            for row in rows_of(
                cursor,
                f"SELECT c.institution_id, c.transfer_id, c.corrects FROM {WANTED} JOIN correction c"
                " ON c.institution_id = w.institution_id AND c.transfer_id = w.id",
                [(c.institution_id, c.transfer_id) for call in calls for c in call.corrections],
            )
        }
    return known


def _ask_accounts(cursor: Cursor[Any], transfers: Sequence[Transfer]) -> None:
    institutions = {t.institution_id for t in transfers}
    if len(institutions) > 1:
        wanted = {(t.institution_id, t.debit_account_id) for t in transfers}
        wanted.update((t.institution_id, t.credit_account_id) for t in transfers)
        _ask(cursor, _ACCOUNTS, sorted(wanted))
        return
    accounts = {t.debit_account_id for t in transfers}
    accounts.update(t.credit_account_id for t in transfers)
    cursor.execute(_ACCOUNTS_OF_ONE, (*institutions, _array(sorted(accounts))), prepare=_prepare(len(accounts)), binary=True)


def _ask_months(cursor: Cursor[Any], transfers: Sequence[Transfer]) -> None:
    institutions = {t.institution_id for t in transfers}
    days = {t.booking_date for t in transfers}
    months = {day.replace(day=1) for day in days if in_calendar(day)}
    cursor.execute(
        "SELECT institution_id, month FROM closed_period WHERE institution_id = ANY(%s) AND month BETWEEN %s AND %s"
        " UNION ALL SELECT NULL, m FROM unnest(%s::date[]) AS m WHERE NOT ledger_has_month(m)",
        (list(institutions), min(days).replace(day=1), max(days), list(months)),
    )


def _months(rows: Sequence[tuple[Any, ...]]) -> tuple[set[tuple[int, date]], list[date]]:
    """Months that are closed among those the transfers are booked in, by institution; those without a partition, by time."""
    return (
        {(institution, month) for institution, month in rows if institution is not None},
        sorted(month for institution, month in rows if institution is None),
    )


def rows_of(cursor: Cursor[Any], query: str, keys: Sequence[tuple[Any, Any]]) -> Iterator[tuple[Any, ...]]:
    """Rows of a query over key pairs given as two arrays."""
    if not keys:
        return iter(())
    _ask(cursor, query, keys)
    return iter(cursor.fetchall())


def _ask(cursor: Cursor[Any], query: str, keys: Sequence[tuple[Any, Any]]) -> None:
    arrays = (_array(key[0] for key in keys), _array(key[1] for key in keys))
    cursor.execute(query, arrays, prepare=_prepare(len(keys)), binary=True)


def _prepare(keys: int) -> bool | None:
    """Few keys are looked up by an index whatever their number, so the plan of a question asked again and again is kept; for many
    the plan must fit their number.
    """
    return None if keys <= _FEW else False


def _array(values: Iterable[int | UUID]) -> str:
    """Numbers or ids as the text of a PostgreSQL array: a tenth of the time the driver takes for a list of a hundred thousand."""
    return "{" + ",".join([str(value) if type(value) is int else f"{value.int:032x}" for value in values]) + "}"  # type: ignore[union-attr]


def transfers_in_books(cursor: Cursor[Any], keys: Sequence[TransferKey]) -> dict[TransferKey, Transfer]:
    """Transfers by key. Each month their ids lie in is asked for its own."""
    with cursor.connection.pipeline():
        asked = _ask_transfers(cursor, keys)
    return _transfers(asked)


def _ask_transfers(cursor: Cursor[Any], keys: Sequence[TransferKey]) -> list[Cursor[Any]]:
    """In a pipeline: a question a month, whose partition is the only one it looks into."""
    asked = []
    for first, next_, of_month in by_month(keys):
        one = cursor.connection.cursor()
        _ask(
            one,
            f"SELECT {TRANSFER_COLUMNS} FROM {WANTED}"
            " JOIN transfer t ON t.institution_id = w.institution_id AND t.transfer_id = w.id"
            f" WHERE t.transfer_id >= '{first}' AND t.transfer_id < '{next_}'",
            of_month,
        )
        asked.append(one)
    return asked


def _transfers(asked: Iterable[Cursor[Any]]) -> dict[TransferKey, Transfer]:
    found = {}
    for one in asked:
        found.update({(row[1], row[0]): transfer_of(row) for row in one.fetchall()})
        one.close()
    return found


def items_in_books(cursor: Cursor[Any], keys: Sequence[TransferKey]) -> dict[TransferKey, OpenItem]:
    """Open items by key, cleared or not."""
    rows = rows_of(
        cursor,
        f"SELECT {ITEM_COLUMNS} FROM {WANTED} JOIN open_item i ON i.institution_id = w.institution_id AND i.item_id = w.id",
        keys,
    )
    return {(row[1], row[0]): open_item_of(row) for row in rows}


def clearings_of(cursor: Cursor[Any], items: Sequence[TransferKey]) -> dict[TransferKey, UUID]:
    """Cleared items: key -> the transfer that cleared it."""
    rows = rows_of(
        cursor,
        f"SELECT c.institution_id, c.item_id, c.clearing_transfer_id FROM {WANTED} JOIN open_item_clearing c"
        " ON c.institution_id = w.institution_id AND c.item_id = w.id",
        items,
    )
    return {(row[0], row[1]): row[2] for row in rows}


def items_cleared_by(cursor: Cursor[Any], transfers: Sequence[TransferKey]) -> dict[TransferKey, OpenItem]:
    """Open items by the key of the transfer that cleared them."""
    rows = rows_of(
        cursor,
        f"SELECT {ITEM_COLUMNS}, w.id FROM {WANTED} JOIN open_item_clearing c"
        " ON c.institution_id = w.institution_id AND c.clearing_transfer_id = w.id"
        " JOIN open_item i ON i.institution_id = c.institution_id AND i.item_id = c.item_id",
        transfers,
    )
    return {(row[1], row[16]): open_item_of(row) for row in rows}


PENDING_COLUMNS = """p.pending_id, p.institution_id, p.debit_account_id, p.credit_account_id, p.amount_minor_units, p.currency,
    p.booking_date, p.expires_on, p.reason, p.source_kind, p.source_ref"""


def pending_of(row: Sequence[Any]) -> PendingTransfer:
    """A row of PENDING_COLUMNS as the noun."""
    return PendingTransfer(row[0], row[1], row[2], row[3], Money(row[4], row[5]), *row[6:11])


def pending_in_books(cursor: Cursor[Any], keys: Sequence[TransferKey]) -> dict[TransferKey, PendingTransfer]:
    """Pending transfers by key, resolved or not."""
    rows = rows_of(
        cursor,
        f"SELECT {PENDING_COLUMNS} FROM {WANTED} JOIN pending_transfer p"
        " ON p.institution_id = w.institution_id AND p.pending_id = w.id",
        keys,
    )
    return {(row[1], row[0]): pending_of(row) for row in rows}


def resolutions_of(cursor: Cursor[Any], keys: Sequence[TransferKey]) -> dict[TransferKey, UUID | None]:
    """Resolved pending transfers: key -> the transfer that posted it, None when it was voided or expired."""
    rows = rows_of(
        cursor,
        f"SELECT r.institution_id, r.pending_id, r.transfer_id FROM {WANTED} JOIN pending_resolution r"
        " ON r.institution_id = w.institution_id AND r.pending_id = w.id",
        keys,
    )
    return {(row[0], row[1]): row[2] for row in rows}
