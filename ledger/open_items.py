"""Money in transit as the books see it: now, as of a business day, and as known at an instant."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

from sqlalchemy import Connection, text

from ledger.known import ITEM_COLUMNS, open_item_of
from ledger.model import OpenItem


def open_items(
    conn: Connection,
    *,
    custody_account_id: int | None = None,
    institution_id: int | None = None,
    institution_ids: Collection[int] | None = None,
    as_of: date | None = None,
    known_at: datetime | None = None,
) -> list[OpenItem]:
    """Items in transit by booking date and id: now, or as of a business day (booked by then and not cleared by then).

    ``known_at``: as far as the batches posted by then say, whatever was opened or cleared later.
    """
    rows = conn.execute(
        _OPEN_ITEMS if known_at is None else _OPEN_ITEMS_KNOWN_AT,
        {
            "custody_account": custody_account_id,
            "institution": institution_id,
            "institutions": None if institution_ids is None else list(institution_ids),
            "as_of": as_of or date.max,
            "known_at": known_at,
        },
    )
    return [open_item_of(row) for row in rows]


_WANTED_ITEMS = """
    i.booking_date <= :as_of
        AND (CAST(:custody_account AS bigint) IS NULL OR i.custody_account_id = :custody_account)
        AND (CAST(:institution AS integer) IS NULL OR i.institution_id = :institution)
        AND (CAST(:institutions AS integer[]) IS NULL OR i.institution_id = ANY (:institutions))
"""
_OPEN_ITEMS = text(f"""
    SELECT {ITEM_COLUMNS} FROM open_item i
    LEFT JOIN open_item_clearing c ON c.institution_id = i.institution_id AND c.item_id = i.item_id AND c.cleared_on <= :as_of
    WHERE c.item_id IS NULL AND {_WANTED_ITEMS}
    ORDER BY i.institution_id, i.custody_account_id, i.booking_date, i.item_id
""")
# An item's id is the id of the transfer that opened it; both transfers stand in batches that say when they were posted.
_OPEN_ITEMS_KNOWN_AT = text(f"""
    SELECT {ITEM_COLUMNS} FROM open_item i
    JOIN transfer o ON o.institution_id = i.institution_id AND o.transfer_id = i.item_id
    JOIN posting_batch b ON b.institution_id = o.institution_id AND b.batch_id = o.batch_id AND b.recorded_at <= :known_at
    WHERE {_WANTED_ITEMS} AND NOT EXISTS (
        SELECT FROM open_item_clearing c
        JOIN transfer x ON x.institution_id = c.institution_id AND x.transfer_id = c.clearing_transfer_id
        JOIN posting_batch y ON y.institution_id = x.institution_id AND y.batch_id = x.batch_id
        WHERE c.institution_id = i.institution_id AND c.item_id = i.item_id AND c.cleared_on <= :as_of
            AND y.recorded_at <= :known_at
    )
    ORDER BY i.institution_id, i.custody_account_id, i.booking_date, i.item_id
""")
