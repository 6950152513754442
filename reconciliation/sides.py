"""The two sides of a run as the matcher's frames, read from the database up to one day."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pandas as pd
from sqlalchemy import Connection, text

from calendars import WorkingCalendar
from ledger.store import account_ids
from reconciliation.entries import Books, Line
from reconciliation.matching import MatchingRules
from reconciliation.matching.outcome import rows_of
from reconciliation.model import CustodyAccountRef, SettlementItem

#: How far back matched items are shown to the matcher, so that a second line of one reference is recognised.
CONTEXT_DAYS = 92

LINE_COLUMNS = (
    "line_id", "account", "currency", "direction", "amount", "booking_date", "value_date", "references", "bank_reference",
    "counterparty_name", "counterparty_account", "description", "transaction_code", "reversal", "position", "business_date",
)  # fmt: skip
ITEM_COLUMNS = (
    "item_id", "account", "currency", "direction", "amount", "due_date", "booking_date", "references", "counterparty_name",
    "counterparty_account", "group_key", "expected_fee", "kind", "original_item_id", "account_id", "consumed", "window_until",
)  # fmt: skip


def open_bank_lines(conn: Connection, ref: CustodyAccountRef, through: date, *, known_at: datetime | None = None) -> pd.DataFrame:
    """Lines in force through a day that no match has consumed (LINE_COLUMNS; amount in Int64 minor units).

    ``known_at``: lines of the versions that were in force by then, which no match recorded by then has consumed.
    """
    rows = conn.execute(
        text(
            """
            SELECT l.line_id, CAST(l.custody_account_id AS text), l.currency, l.direction, l.amount_minor_units, l.booking_date,
                l.value_date, array_to_string(l.line_references, '|'), coalesce(l.bank_reference, ''),
                coalesce(l.counterparty_name, ''), coalesce(l.counterparty_account, ''), coalesce(l.description, ''),
                coalesce(l.transaction_code, ''), l.reversal,
                row_number() OVER (ORDER BY l.business_date, l.position), l.business_date
            FROM lines_in_force(CAST(:known_at AS timestamptz)) l
            LEFT JOIN match_bank_line m ON m.institution_id = l.institution_id AND m.line_id = l.line_id
                AND m.recorded_at <= CAST(:known_at AS timestamptz)
            WHERE l.institution_id = :institution AND l.custody_account_id = :account AND l.business_date <= :through
              AND m.line_id IS NULL
            ORDER BY l.line_id
            """
        ),
        {
            "institution": ref.institution_id,
            "account": ref.custody_account_id,
            "through": through,
            "known_at": known_at or "infinity",
        },
    )
    return _frame(rows, LINE_COLUMNS, whole=("amount", "position"))


def book_items(
    conn: Connection,
    ref: CustodyAccountRef,
    through: date,
    rules: MatchingRules,
    calendar: WorkingCalendar,
    *,
    settlements: Sequence[SettlementItem],
) -> pd.DataFrame:
    """Open items booked through a day, and as context (``consumed``) items matched in the last CONTEXT_DAYS (ITEM_COLUMNS).

    ``settlements`` says which items a channel settles together; ``window_until`` is the last day an item is in time.
    """
    rows = conn.execute(
        text(
            """
            SELECT CAST(i.item_id AS text), CAST(i.custody_account_id AS text), i.currency, i.direction, i.amount_minor_units,
                i.due_date, i.booking_date, array_to_string(i.item_references, '|'), coalesce(i.counterparty_name, ''),
                coalesce(i.counterparty_account, ''), coalesce(i.group_key, ''), i.expected_fee_minor_units, i.kind,
                coalesce(CAST(i.original_item_id AS text), ''), i.account_id, k.item_id IS NOT NULL
            FROM open_item i
            LEFT JOIN open_item_clearing k USING (institution_id, item_id)
            LEFT JOIN (
                SELECT b.institution_id, b.item_id FROM match_book_item b
                LEFT JOIN match_undone u USING (institution_id, match_id) WHERE u.match_id IS NULL
            ) m USING (institution_id, item_id)
            WHERE i.institution_id = :institution AND i.custody_account_id = :account AND i.booking_date <= :through
              AND (k.item_id IS NULL OR (m.item_id IS NOT NULL AND k.cleared_on >= :context))
            ORDER BY i.item_id
            """
        ),
        {
            "institution": ref.institution_id,
            "account": ref.custody_account_id,
            "through": through,
            "context": through - timedelta(days=CONTEXT_DAYS),
        },
    )
    frame = _frame(rows, ITEM_COLUMNS[:-1], whole=("amount", "expected_fee", "account_id"))
    if settlements:
        batch = {str(one.item_id): one for one in settlements}
        known = [batch.get(item) for item in frame["item_id"]]
        frame["group_key"] = [one.group_key if one else before for one, before in zip(known, frame["group_key"], strict=True)]
        fees = [one.fee_minor_units if one else before for one, before in zip(known, frame["expected_fee"], strict=True)]
        frame["expected_fee"] = pd.Series(fees, dtype="Int64")
    frame["window_until"] = _window_ends(frame, rules, calendar)
    return frame


def _window_ends(frame: pd.DataFrame, rules: MatchingRules, calendar: WorkingCalendar) -> pd.Series:
    wanted = {(kind, due) for kind, due in zip(frame["kind"], frame["due_date"], strict=True)}
    ends = {(kind, due): rules.window(kind).ends(due, calendar) for kind, due in wanted}
    return pd.Series([ends[key] for key in zip(frame["kind"], frame["due_date"], strict=True)], index=frame.index, dtype="object")


def _frame(rows: Iterable[Any], columns: Sequence[str], *, whole: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame([tuple(row) for row in rows], columns=list(columns), dtype="object")
    for name in whole:
        frame[name] = frame[name].astype("Int64")
    return frame


def input_digest(lines: pd.DataFrame, items: pd.DataFrame, through: date) -> bytes:
    """SHA-256 over what a run compares: lines and open items by id and amount, and the cut-off."""
    still = items[~items["consumed"].astype(bool)]
    parts = [through.isoformat()]
    for frame, identity in ((lines, "line_id"), (still, "item_id")):
        parts += sorted(f"{one}={amount}" for one, amount in zip(frame[identity], frame["amount"], strict=True))
        parts.append("")
    return hashlib.sha256("\n".join(parts).encode()).digest()


def signed_sum(lines: pd.DataFrame) -> int:
    """IN less OUT of bank lines, in minor units."""
    inward = (lines["direction"] == "IN").to_numpy(dtype=bool)
    return int(lines.loc[inward, "amount"].sum()) - int(lines.loc[~inward, "amount"].sum())


def items_by_id(items: pd.DataFrame) -> Mapping[str, tuple[UUID, int, str]]:
    """item_id text -> (item id, its in-transit account, its kind)."""
    return {
        item: (UUID(item), int(account), kind)
        for item, account, kind in zip(items["item_id"], items["account_id"], items["kind"], strict=True)
    }


@dataclass(frozen=True, slots=True)
class PlacedLine(Line):
    """A line with its place among the account's lines, oldest first."""

    position: int = 0


def lines_of(lines: pd.DataFrame) -> dict[str, PlacedLine]:
    """Lines by id as posting needs them (sides.LINE_COLUMNS)."""
    return {
        row.line_id: PlacedLine(row.line_id, row.direction, int(row.amount), row.booking_date, int(row.position))
        for row in rows_of(lines)
    }


def books_of(conn: Connection, ref: CustodyAccountRef) -> Books:
    """The accounts entries of a custody account touch. Raises LookupError when its books are not open."""
    found = account_ids(conn, institution_id=ref.institution_id, custody_account_id=ref.custody_account_id)
    accounts = {kind: number for (kind, subject), number in found.items() if not subject}
    if "custody_cash" not in accounts:
        raise LookupError(f"the books of custody account {ref.account_number} are not open; import its institution first")
    return Books(ref, accounts)
